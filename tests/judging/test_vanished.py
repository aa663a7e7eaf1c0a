"""What the release has and a run lacks is named: claims and figures, of the systems asked for."""

import pytest
from judging.judged_records import FAST, figure
from records_factory import claim, report

from remeasure.judging.vanished import vanished

RELEASE = {
    "claims": [
        {"system": "made", "id": "faster", "verdict": "reproduced"},
        {"system": "made", "id": "never", "verdict": "not run"},
        {"system": "other", "id": "faster", "verdict": "contradicted"},
    ],
    "figures": [{"system": "made", "name": "time"}, {"system": "other", "name": "time"}],
}
MADE = report(FAST, [claim()], [figure("time")])
CLAIM, FIGURE = [MADE.claims[0]], [row for row in MADE.figures if row.case]


@pytest.mark.parametrize(
    ("claims", "figures", "systems", "named"),
    [
        (CLAIM, FIGURE, {"made"}, []),
        ([], FIGURE, {"made"}, ["claim made/faster"]),
        (CLAIM, [], {"made"}, ["figure made: time"]),
        ([], [], {"made"}, ["claim made/faster", "figure made: time"]),
        (CLAIM, FIGURE, None, ["claim other/faster", "figure other: time"]),
        ([], [], {"third"}, []),
        (report([], [claim()]).claims, FIGURE, {"made"}, ["claim made/faster"]),  # it is not run
    ],
)
def test_what_is_missing_is_named(claims, figures, systems, named):
    assert vanished(RELEASE, claims, figures, systems) == named


def test_an_empty_release_lacks_nothing():
    assert vanished({}, CLAIM, FIGURE, None) == []
