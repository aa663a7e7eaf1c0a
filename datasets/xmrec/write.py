"""Markets back to files, in the layout that `read_markets` reads."""

from pathlib import Path

from .markets import Lists, Markets


def write_markets(markets: Markets, root: Path) -> None:
    """Write the markets in the layout that `read_markets` reads; folders are made, files replaced."""
    for name, market in markets.items():
        folder = Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
        for table_name, table in market.tables().items():
            table.to_csv(folder / f"{table_name}.tsv", sep="\t", index=False, lineterminator="\n")
        for run_name, lists in (("valid_run", market.valid_run), ("test_run", market.test_run)):
            if lists is not None:
                (folder / f"{run_name}.tsv").write_text(_lines(lists), newline="\n")


def _lines(lists: Lists) -> str:
    rows = zip(lists.users.tolist(), lists.items.tolist(), strict=True)
    return "".join(f"{user}\t{','.join(filter(None, items))}\n" for user, items in rows)
