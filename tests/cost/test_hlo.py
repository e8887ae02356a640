"""Programs' texts read: kernels, trips and bytes, on a text whose counts are known by hand."""

from pathlib import Path

import pytest

from kd_jax.cost import hlo, schedules
from kd_jax.cost.compiled import rows_of, schedule_of

TEXT = """HloModule jit_f

FileNames
1 "/somewhere/kd_jax/models/tagger.py"
FileLocations
1 {file_name_id=1 function_name_id=1 line=37 end_line=37 column=1 end_column=9}
StackFrames
1 {file_location_id=1 parent_frame_id=1}

%sliced (p.0: f32[128,8,128], p.1: s32[]) -> f32[8,128] {
  %p.0 = f32[128,8,128]{2,1,0} parameter(0)
  %p.1 = s32[] parameter(1)
  %bitcast.1 = f32[128,1024]{1,0} bitcast(%p.0)
  ROOT %cut = f32[8,128]{1,0} dynamic-slice(%bitcast.1, %p.1), dynamic_slice_sizes={1,1024}
}

%put (q.0: f32[128,8,128], q.1: f32[1,8,128], q.2: s32[]) -> f32[128,8,128] {
  %q.0 = f32[128,8,128]{2,1,0} parameter(0)
  %q.1 = f32[1,8,128]{2,1,0} parameter(1)
  %q.2 = s32[] parameter(2)
  ROOT %written = f32[128,8,128]{2,1,0} dynamic-update-slice(%q.0, %q.1, %q.2)
}

%inner_condition (c.0: (s32[], f32[128,8,128])) -> pred[] {
  %c.0 = (s32[], f32[128,8,128]) parameter(0)
  %limit = s32[]{:T(128)} constant(128)
  %i = s32[] get-tuple-element(%c.0), index=0
  ROOT %lt = pred[] compare(%i, %limit), direction=LT
}

%inner_body (b.0: (s32[], f32[128,8,128])) -> (s32[], f32[128,8,128]) {
  %b.0 = (s32[], f32[128,8,128]) parameter(0)
  %t = s32[] get-tuple-element(%b.0), index=0
  %all = f32[128,8,128]{2,1,0} get-tuple-element(%b.0), index=1
  %one = f32[8,128]{1,0} fusion(%all, %t), kind=kLoop, calls=%sliced, backend_config={"estimated_cycles":"100"}
  %back = f32[128,8,128]{2,1,0} fusion(%all, %one, %t), kind=kLoop, calls=%put, backend_config={"estimated_cycles":"50"}
  ROOT %next = (s32[], f32[128,8,128]) tuple(%t, %back)
}

%outer_body (d.0: (s32[], f32[128,8,128])) -> (s32[], f32[128,8,128]) {
  %d.0 = (s32[], f32[128,8,128]) parameter(0)
  %looped = (s32[], f32[128,8,128]) while(%d.0), condition=%inner_condition, body=%inner_body
  %held = f32[16]{0:T(128)S(1)} copy(%d.0)
  ROOT %copied = (s32[], f32[128,8,128]) tuple(%looped, %held)
}

%outer_condition (e.0: (s32[], f32[128,8,128])) -> pred[] {
  ROOT %e.0 = pred[] parameter(0)
}

ENTRY %main (a.0: f32[128,8,128]) -> f32[128,8,128] {
  %a.0 = f32[128,8,128]{2,1,0} parameter(0)
  %first = f32[128,8,128]{2,1,0} copy(%a.0), metadata={op_name="jit(f)/start" stack_frame_id=1}
  %small = s32[4]{0} while(%first), condition=%outer_condition, body=%sliced, TRIPS{"n":"3"}}
  ROOT %w = (s32[], f32[128,8,128]) while(%first), condition=%outer_condition, body=%outer_body, TRIPS{"n":"20"}}
}
""".replace("TRIPS", 'backend_config={"known_trip_count":')


@pytest.fixture
def program():
    return hlo.read(TEXT)


def test_the_step_is_the_body_of_the_loop_that_does_most(program):
    assert hlo.step_of(program) == "outer_body"


def test_what_a_call_does_once_is_all_but_the_loop_over_its_steps(program):
    around = hlo.around_steps(program)
    assert {one.op.name for one in hlo.walk(around, "ENTRY")} >= {"first"}
    assert not {one.op.name for one in hlo.walk(around, "ENTRY")} & {"back", "held"}


def test_loops_are_multiplied_by_trips_that_the_text_or_the_condition_says(program):
    ops = list(hlo.walk(program, "outer_body"))
    assert {(one.op.name, one.times) for one in ops} == {("one", 128), ("back", 128), ("held", 1)}
    assert sum(one.times * (one.op.estimate or 0) for one in ops) == 128 * 150
    loop = next(op for op in program.computations["ENTRY"] if op.name == "w")
    assert hlo.trips(program, loop) == 20


def test_a_slice_counts_as_the_slice_and_an_update_in_place_as_the_update(program):
    moved = {one.op.name: one.bytes for one in hlo.walk(program, "outer_body")}
    tile = 8 * 128 * 4
    assert moved["one"] == 2 * tile + 4  # and where the slice begins
    assert moved["back"] == 3 * tile + 4  # its operand %one, the update read and written, and where
    assert moved["held"] == hlo.memory_bytes("(s32[], f32[128,8,128])")


def test_what_a_layout_places_on_the_chip_is_not_memory():
    assert hlo.memory_bytes("f32[16]{0:T(128)S(1)}") == 0
    assert hlo.array_bytes("(f32[16]{0:T(128)S(1)}, bf16[2,3]{1,0}, pred[])") == 64 + 12 + 1


def test_metadata_of_a_kernel_does_not_end_a_computation():
    broken = TEXT.replace(", dynamic_slice_sizes", ', frontend_attributes={kernel_metadata={\n"trips":"3,4"\n}}, sizes')
    assert hlo.read(hlo.unbroken(broken)).computations.keys() == hlo.read(TEXT).computations.keys()
    assert len(hlo.read(hlo.unbroken(broken)).computations["sliced"]) == len(hlo.read(TEXT).computations["sliced"])


def test_operations_are_named_by_the_line_that_they_come_from(program):
    assert program.frames == {"1": "/somewhere/kd_jax/models/tagger.py:37"}


def test_a_kernel_takes_its_bundles_times_the_trips_around_them():
    text = "    0   :  { a }\n  0x1   : > { b }\n   2 LB: >> { c }\n 0x3  LH: >> { d ;; e }\n"
    counted = schedules.bundles(text)
    assert counted == {0: 1, 1: 1, 2: 2}
    call = 'custom-call(%x), frontend_attributes={kernel_metadata={"trips":"75,16"}}, metadata={}'
    assert schedules.kernel_trips(call) == (75, 16)
    assert schedules.kernel_cycles(counted, (75, 16)) == 1 + 75 * 1 + 75 * 16 * 2
    assert schedules.row_bound(counted, 10) == 1 + 10 * 3


def test_a_kernel_whose_schedule_is_not_written_again_has_that_of_the_same_kernel():
    def op(name, shape="f32[8]", kind="custom-call"):
        return hlo.Counted(hlo.Op(name, shape, kind, (), ""), 1, "body", 0)

    ops = [op("lstm_forward.1"), op("lstm_forward.2"), op("lstm_forward.3", "f32[9]"), op("fusion.2", kind="fusion")]
    written = {"lstm_forward.1": Path("first"), "fusion.1": Path("other")}
    found = [schedule_of(one.op, ops, written) for one in ops]
    assert found == [Path("first"), Path("first"), None, None]


BY_ROWS = """
%taken (t: f32[9,200], i: s32[30,1]) -> f32[30,200] {
  %t = f32[9,200]{1,0} parameter(0)
  %i = s32[30,1]{1,0} parameter(1)
  ROOT %g = f32[30,200]{1,0} gather(%t, %i), offset_dims={1}, collapsed_slice_dims={0}, slice_sizes={1,200}
}

ENTRY %main (a: f32[9,200], b: s32[30,1], c: f32[45], d: f32[30]) -> f32[45] {
  %a = f32[9,200]{1,0} parameter(0)
  %b = s32[30,1]{1,0} parameter(1)
  %c = f32[45]{0} parameter(2)
  %d = f32[30]{0} parameter(3)
  %words = f32[30,200]{1,0} fusion(%a, %b), kind=kCustom, calls=%taken
  %single = f32[30]{0} gather(%c, %b), offset_dims={}, collapsed_slice_dims={0}, slice_sizes={1}
  ROOT %put = f32[45]{0} scatter(%c, %b, %d), update_window_dims={}, inserted_window_dims={0}
}
"""


def test_rows_are_what_is_taken_or_put_one_by_one():
    program = hlo.read(BY_ROWS)
    found = {one.op.name: rows_of(program, one) for one in hlo.walk(program, "ENTRY")}
    assert found == {"words": 30, "single": 30, "put": 30}
