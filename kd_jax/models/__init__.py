"""Characters, BiLSTM, CRF and the tagger that they make, as linen modules and pure functions."""
