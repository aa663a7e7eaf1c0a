"""Which claims, cases and records a report is about."""

import msgspec
import pytest
from records_factory import claim, timed

from remeasure.judging.selection import Selection, choose


@pytest.mark.parametrize(
    "asked",
    [{"cases": ("a",)}, {"claims": ("a",)}, {"tags": ("a",)}, {"seeds": (1,)}, {"overrides": {"a": "1"}}],
)
def test_whatever_is_asked_for_makes_a_part_but_whole_systems_do_not(asked):
    assert Selection(**asked).partial
    assert not Selection(systems=("sys",)).partial


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("sys/a",), {"sys"}),
        (("sys/a", "other/b"), {"sys", "other"}),
        (("sys/a", "b"), {"sys", "other", "third"}),  # b may be of any system
        (("b",), {"sys", "other", "third"}),
        ((), {"sys", "other", "third"}),
    ],
)
def test_a_name_with_its_system_wants_that_system_alone(names, wanted):
    systems = ("sys", "other", "third")
    assert {one for one in systems if Selection(cases=names).wants_system(one)} == wanted
    assert {one for one in systems if Selection(claims=names).wants_system(one)} == wanted
    assert not Selection(systems=("fourth",), cases=names).wants_system("sys")


@pytest.mark.parametrize("asked", [{"cases": ("a",)}, {"tags": ("a",)}])
def test_a_claim_without_a_case_is_in_no_part_that_is_named_by_cases(asked):
    assert not Selection(**asked).wants_claim("sys", claim(), None)
    assert Selection().wants_claim("sys", claim(), None)


def of_code(seed, code, started="2026-01-01"):
    made = timed(seed)
    provenance = msgspec.structs.replace(made.provenance, fingerprint=code, started=started)
    return msgspec.structs.replace(made, provenance=provenance, key=f"{code}{seed}")


def test_of_several_codes_that_of_today_is_chosen_and_the_others_are_counted():
    records = [of_code(1, "old"), of_code(2, "old"), of_code(1, "now"), of_code(1, "new", "2026-02-01")]
    (profile,) = {record.profile for record in records}
    chosen = choose(records, profile, Selection(), lambda system, case: "now")
    (blocks,) = chosen.blocks.values()
    assert [record.key for record in blocks.ok] == ["now1"]
    assert chosen.older_code == 3
    newest = choose(records, profile, Selection(), lambda system, case: "unmeasured")
    (blocks,) = newest.blocks.values()
    assert [record.key for record in blocks.ok] == ["new1"]


def test_where_all_is_of_one_code_nobody_asks_for_todays():
    def asked(system, case):
        raise AssertionError("it costs a look at every file")

    records = [of_code(1, "old"), of_code(2, "old")]
    chosen = choose(records, records[0].profile, Selection(), asked)
    assert chosen.older_code == 0
