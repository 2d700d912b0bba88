"""The glossary: what the words mean that MESS uses and a listener need not know, each defined once, here.

Pages show a definition on hover wherever the term stands; `docs/glossary.md` is this table as a page.

    python -m mess_core.glossary > docs/glossary.md
"""

from __future__ import annotations

TERMS: dict[str, str] = {
    "encoder": "A trained network that listens to sound and writes down numbers, by which what it heard is compared.",
    "layer": "A stage of an encoder. The first are near to the sound, later ones to what it was trained to hear; each "
    "hears something else.",
    "embedding": "What an encoder wrote down of a recording: one row of numbers for each layer.",
    "segment": "Five seconds of a recording, a new one every two and a half: what an encoder listens to at a time.",
    "hearing": "Some layers, of one or several encoders, for one question, such as whether it is the same music.",
    "aspect": "Something in which recordings can be alike, as a listener says it: brightness, tempo, articulation.",
    "evidence": "How surely an aspect can be told here: ●●● high, ●●○ medium, ●○○ experimental, ○○○ none.",
    "target": "What is measured in sound or notes to stand for an aspect, such as the spectral centroid in Hz.",
    "work": "The composition. Recordings of one work are kept together, so that recognising the piece proves nothing.",
    "probe": "The test whether a layer tells a property: a simple rule is learned from some works, tried on others.",
    "discovery": "Measuring everything in a library and probing every layer for it.",
    "direction": "The way in which the numbers of a layer change when a property grows. Along it "
    "recordings are compared in that property alone.",
    "R²": "The share of the differences between recordings that is told: 1 is all, 0 none, below 0 worse than guessing "
    "the average.",
    "interval": "Drawn so wide that in 95 of 100 libraries of such music it would hold the figure of all such music.",
    "baseline": "Something plainer that a layer has to beat: length, loudness, density and pitch; a spectrum; the "
    "notes that sound; the same network untrained.",
    "gain": "How much more of the differences a layer tells than the best baseline does.",
    "untrained network": "The same encoder with random numbers in place of what it learned: what it tells, no "
    "training taught.",
    "similarity": "How near two recordings are in what is compared: the larger, the nearer. Alone it says little.",
    "percentile": "Of 100 things to compare with, how many are left behind: 97 means more than 97 of 100.",
    "nearness": "From 0 to 100: nearer than how many in 100 of the pairs that recordings of this library form with "
    "their nearest.",
    "leak": "An aspect leaks into another if searching by it finds recordings that are more alike in the other.",
    "hub": "A recording that is near to nearly everything, and so in nearly every list; hubs can be ranked lower.",
    "trustworthiness": "Of a map: whether neighbours on it are neighbours in the layer, too; 1 means always.",
    "continuity": "Of a map: whether neighbours in the layer are neighbours on it, too; 1 means always.",
}


def define(*terms: str) -> str:
    """Terms with their definitions, as a page shows them on hover.

    Examples
    --------
    >>> define("hub").startswith("**Hub**: A recording that is near to nearly everything")
    True
    """
    return "\n\n".join(f"**{term[:1].upper()}{term[1:]}**: {TERMS[term]}" for term in terms)


def page() -> str:
    """The whole glossary as Markdown, by alphabet."""
    lines = [f"**{term}**\n: {TERMS[term]}\n".replace("\n: ", "  \n") for term in sorted(TERMS, key=str.casefold)]
    return "\n".join(["# Glossary\n", "What MESS's own words mean. Pages say the same on hover.\n", *lines])


if __name__ == "__main__":
    print(page(), end="")
