"""A table for a notebook that sorts when a heading is pressed, with small pictures in its cells."""

import base64
import html
import io

import numpy as np
import pandas as pd
from PIL import Image

from magan_core.data.images import resize
from magan_core.errors import MaganError

THUMB = 80  # pixels, the longer side of a picture in a cell

# On the button of a column: order the rows by it, the largest first, the other way round when pressed again.
# Inline, because not every viewer of notebooks runs a <script>.
_SORT = """
const head=this.parentNode,table=head.closest('table'),body=table.tBodies[0],at=head.cellIndex;
const way=head.getAttribute('aria-sort')==='descending'?1:-1;
for(const h of table.tHead.rows[0].cells)h.removeAttribute('aria-sort');
head.setAttribute('aria-sort',way<0?'descending':'ascending');
const key=r=>r.cells[at].dataset.value;
const order=(a,b)=>isNaN(key(a))||isNaN(key(b))?key(a).localeCompare(key(b)):key(a)-key(b);
[...body.rows].sort((a,b)=>way*order(a,b)).forEach(r=>body.append(r));
""".replace("\n", "")
_BUTTON = (
    "background:none;border:0;padding:0;font:inherit;color:inherit;cursor:pointer;text-decoration:underline"
)


def sortable(table: pd.DataFrame, pictures: dict[str, list[np.ndarray]], caption: str) -> str:
    """The HTML of a table that sorts by any column of `table`; pictures stand before it, one column a name.

    table: numbers are shown with three decimals, everything else as text. pictures: for each name one uint8
    (H, W) or (H, W, 3) a row. The result needs nothing but itself. MaganError where the numbers of pictures
    and rows differ.
    """
    for name, column in pictures.items():
        if len(column) != len(table):
            raise MaganError(f"{len(column)} pictures '{name}' for {len(table)} rows; expected one a row")
    heads = [f'<th scope="col">{html.escape(name)}</th>' for name in pictures]
    heads += [
        f'<th scope="col"><button type="button" style="{_BUTTON}" onclick="{html.escape(_SORT)}">'
        f"{html.escape(str(name))}</button></th>"
        for name in table.columns
    ]
    rows = []
    for place, values in enumerate(table.itertuples(index=False)):
        told = html.escape(" ".join(str(value) for value in values if isinstance(value, str)), quote=True)
        cells = [
            f"<td>{_picture(column[place], f'{name}: {told}')}</td>" for name, column in pictures.items()
        ]
        cells += [_cell(value) for value in values]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div style="overflow-x:auto"><table style="font-size:0.85em">'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{''.join(heads)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    number = isinstance(value, (float, np.floating))
    shown = f"{value:.3f}" if number else str(value)
    return f'<td data-value="{html.escape(str(value), quote=True)}">{html.escape(shown)}</td>'


def _picture(picture: np.ndarray, alt: str) -> str:
    """An <img> that carries its own PNG; at most THUMB pixels wide and high."""
    height, width = picture.shape[:2]
    scale = min(1.0, THUMB / max(height, width))
    small = resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    look = "max-width:none;border:1px solid #b0b0b0"  # so that a white map does not melt into the page
    return f'<img src="data:image/png;base64,{data}" alt="{alt}" style="{look}">'
