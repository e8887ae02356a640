"""From text to arrays: vocabulary, flat token arrays, packing into rows, epochs of batches, word vectors."""
