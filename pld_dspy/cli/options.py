"""Options that several commands of `pld` share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Program = Annotated[str, typer.Argument(help="A student program: scienceqa, spiqa, or an installed package's.")]
Data = Annotated[
    str, typer.Option(help="'sample' (generated), 'hub', 'hub:NAME', or a folder in the benchmark's official layout.")
]
Model = Annotated[str, typer.Option(help="A LiteLLM name, 'hf:MODEL' to run it here, or 'rehearsal' (simulator).")]
ApiBase = Annotated[str | None, typer.Option(help="Address of the server; its key comes from $PLD_{ROLE}_API_KEY.")]
Settings = Annotated[list[str] | None, typer.Option(help="Sent with every request, as temperature=0. Repeatable.")]
Size = Annotated[int, typer.Option(min=1, help="At most so many examples, drawn at random.")]
Seed = Annotated[int, typer.Option(help="Of every draw.")]
Mode = Annotated[
    str,
    typer.Option(help="What the models get of a figure: image, caption, describe, text (nothing); SPIQA has more."),
]
DescriberName = Annotated[
    str | None, typer.Option("--describer", help="Writes the texts of 'describe': a model that sees, or 'ocr'.")
]
BadImages = Annotated[
    Literal["stop", "skip"], typer.Option(help="At a missing or damaged image stop, or skip its examples.")
]
ProgramSettings = Annotated[
    list[str] | None, typer.Option(help="An argument of the program, as reasoning=true. Repeatable.")
]
DataSettings = Annotated[
    list[str] | None, typer.Option(help="An argument of the benchmark's loader, as longest_side=768. Repeatable.")
]
Threads = Annotated[int, typer.Option(min=1, help="Model calls side by side.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
MaxRuleTokens = Annotated[int, typer.Option(min=1, help="Budget of the rules in the student's prompt.")]
EmbedderName = Annotated[
    str | None,
    typer.Option(
        help="For clustering and for --rules-per-question: tfidf, hf:MODEL or a LiteLLM name; all-MiniLM-L6-v2 for "
        "real models."
    ),
]
ClusterSettings = Annotated[
    list[str] | None,
    typer.Option(help="An argument of the clusters' search, as n_trials=100 or storage=sqlite:///s.db. Repeatable."),
]
Teacher = Annotated[
    str,
    typer.Option(
        help="A LiteLLM name, 'hf:MODEL', 'rehearsal' (simulator); or no model: 'rationales' takes the data's own "
        "lectures and solutions, 'none' only --expert-rules."
    ),
]
Extraction = Annotated[
    str,
    typer.Option(
        help="Where rules come from besides --expert-rules: examples, rewritten rationales, rationales, none, or an "
        "installed package's source."
    ),
]
ExpertRules = Annotated[
    Path | None, typer.Option(help="People's own rules: a JSONL of micro-rules, or a rule set as JSON.")
]
GateName = Annotated[
    str,
    typer.Option(
        help="Edits that are taken: with a gain on validation (positive), a significant one (significant), all of them "
        "unseen (off), or by an installed package's gate."
    ),
]
Proposers = Annotated[
    list[str] | None,
    typer.Option(help="An installed package's proposer of edits, beside the built-in ones. Repeatable."),
]
Operations = Annotated[
    list[str] | None, typer.Option(help="An installed package's kind of edit, beside the built-in ones. Repeatable.")
]
AskRule = Annotated[bool, typer.Option("--ask-rule", help="Ask the student which rules it followed, for diagnosis.")]
Prune = Annotated[bool, typer.Option(help="Measure each rule's use at the end and take out harmful and idle ones.")]
AutoName = Annotated[
    Literal["light", "medium", "heavy"] | None,
    typer.Option(help="Sets what is not given of the rounds, the candidates and the cap on calls."),
]
RulesPerQuestion = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Put only so many rules into a question's prompt, the nearest to it."),
]
MaxIterations = Annotated[
    int | None, typer.Option(min=0, help="Rounds of conflict resolution; 3. With 0 nothing is pruned either.")
]
NumCandidates = Annotated[int | None, typer.Option(min=1, max=3, help="Clusterings that are tried on validation; 3.")]
MaxCalls = Annotated[int | None, typer.Option(min=1, help="After so many calls, no more are started.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="US dollars that compiling may cost.")]
