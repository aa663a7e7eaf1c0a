"""What a run itself cost."""

from remeasure.judging.run_cost import covered, run_figures


def test_blocks_side_by_side_count_once_and_pauses_do_not_count() -> None:
    assert covered([(0, 10), (2, 5), (8, 12), (100, 101)]) == 13
    assert covered([]) == 0


def test_a_system_without_finished_blocks_has_no_figures() -> None:
    assert run_figures("opdai", "smoke", []) == []
