"""The attention explorer in JupyterLab: controls beside one picture, which they only choose."""

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from magan_core.errors import MaganError, nearest
from magan_core.reporting import style
from magan_core.reporting.explorer import PICTURES, Choice, Explorer

WIDE = widgets.Layout(width="22em")


class Panel:
    """Controls for a choice, and the picture that belongs to it.

    `root` is the widget to display. A change of a control draws anew, at once; the button saves all pictures
    of the choice where the headless notebook saves them. An error is shown in place of the picture.
    """

    def __init__(self, explorer: Explorer, choice: Choice) -> None:
        self.explorer = explorer
        runs = explorer.runs()
        if not runs:
            raise MaganError(
                f"profile {explorer.profile} has no trained run with attention. Train one: "
                f"make repro PROFILE={explorer.profile}"
            )
        nearest(choice.run, runs, f"trained run with attention in profile {explorer.profile}")
        settled = {"continuous_update": False, "layout": WIDE}
        share = settled | {"min": 0.0, "max": 1.0, "step": 0.01}
        self.picture = widgets.Dropdown(description="picture", layout=WIDE)
        self.run = widgets.Dropdown(options=runs, value=choice.run, description="run", layout=WIDE)
        self.image = widgets.Dropdown(description="photograph", layout=WIDE)
        self.features = widgets.ToggleButtons(description="features", style={"button_width": "6em"})
        self.channel = widgets.BoundedIntText(description="channel", layout=WIDE)
        self.x = widgets.FloatSlider(choice.x, description="pixel, across", **share)
        self.y = widgets.FloatSlider(choice.y, description="pixel, down", **share)
        self.save = widgets.Button(description="Save all pictures", layout=WIDE)
        self.shown = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.words = widgets.HTML()
        controls = [
            self.picture, self.run, self.image, self.features, self.channel, self.x, self.y, self.save,
        ]  # fmt: skip
        picture = widgets.VBox([self.shown, self.words])
        self.root = widgets.HBox([widgets.VBox(controls), picture])
        self._busy = False
        self._guard(lambda: self._open(choice))
        for control in controls[:-1]:
            control.observe(self._changed, names="value")
        self.save.on_click(lambda button: self._guard(self._save))

    def choice(self) -> Choice:
        """What the controls say."""
        where = {"x": self.x.value, "y": self.y.value}
        return Choice(self.run.value, self.image.value, self.features.value, self.channel.value, **where)

    def _changed(self, change: dict[str, Any]) -> None:
        if self._busy:  # the controls adapt to one another
            return
        if change["owner"] in (self.run, self.features):
            self._guard(lambda: self._open(self.choice()._replace(channel=-1)))
        else:
            self._guard(self._draw)

    def _open(self, choice: Choice) -> None:
        """Fit the controls to the run of a choice, keeping what it has too, and draw."""
        count = len(images := self.explorer.images(choice.run))
        choice = choice._replace(image=min(max(choice.image, 0), count - 1))
        groups = self.explorer.features(choice)
        choice = choice._replace(features=choice.features if choice.features in groups else "")
        if groups and not choice.features:
            choice = choice._replace(features=groups[0], channel=-1)
        pictures = self.explorer.pictures(choice)
        wanted = self.picture.value if self.picture.value in pictures else pictures[0]
        self.image.options = [(entry["stem"], number) for number, entry in enumerate(images)]
        self.image.value = choice.image
        self.features.options = groups
        self.features.value = choice.features or None
        self.channel.disabled = not groups
        if groups:
            self.channel.max = len(self.explorer.inside(choice).groups[choice.features].levels) - 1
            self.channel.value = self.explorer.channel(choice)
        self.picture.options = [(PICTURES[name], name) for name in pictures]
        self.picture.value = wanted
        self._draw()

    def _draw(self) -> None:
        drawing = self.explorer.draw(self.picture.value, self.choice())
        self.shown.value = style.encoded(drawing, "png")
        self._say(drawing.caption)

    def _save(self) -> None:
        written = self.explorer.save(self.choice())
        self._say(f"{len(written)} files in {written[0].parent}")

    def _say(self, text: str) -> None:
        self.shown.layout.display = "" if self.shown.value else "none"
        self.words.value = f"<p style='max-width: 70em; line-height: 1.4'>{escape(text)}</p>"

    def _guard(self, action: Callable[[], None]) -> None:
        """Run an action with the controls' own changes held back; a MaganError becomes text."""
        self._busy = True
        try:
            action()
        except MaganError as error:
            self.shown.value = b""
            self._say(str(error))
        finally:
            self._busy = False
