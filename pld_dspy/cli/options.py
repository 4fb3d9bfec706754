"""Options that several commands of `pld` share."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from pld_dspy.run.budgets import Auto

Text = str | None
Texts = list[str] | None

Program = Annotated[str, Argument(help="A student program: scienceqa, spiqa, or an installed package's.")]
Data = Annotated[str, Option(help="'sample' (generated), 'hub', 'hub:NAME', or a folder in the official layout.")]
Size = Annotated[int, Option(min=1, help="At most so many examples, drawn at random.")]
Seed = Annotated[int, Option(help="Of every draw.")]
Mode = Annotated[str, Option(help="Figures as image, caption, describe or text (nothing); SPIQA has more.")]
BadImages = Annotated[Literal["stop", "skip"], Option(help="At a missing or damaged image stop, or skip its examples.")]
ProgramSettings = Annotated[Texts, Option(help="An argument of the program, as reasoning=true. Repeatable.")]
DataSettings = Annotated[Texts, Option(help="An argument of the benchmark's loader, as longest_side=768. Repeatable.")]
Model = Annotated[str, Option(help="A LiteLLM name, 'hf:MODEL' to run it here, or 'rehearsal' (simulator).")]
Teacher = Annotated[str, Option(
    help="A LiteLLM name, 'hf:MODEL', 'rehearsal' (simulator); or no model: 'rationales' takes the data's own "
    "lectures and solutions, 'none' only --expert-rules."
)]  # fmt: skip
ApiBase = Annotated[Text, Option(help="Address of the server; its key comes from $PLD_{ROLE}_API_KEY.")]
Settings = Annotated[Texts, Option(help="Sent with every request, as temperature=0. Repeatable.")]
DescriberName = Annotated[Text, Option("--describer", help="Writes the texts of 'describe': a vision model, or 'ocr'.")]
EmbedderName = Annotated[Text, Option(
    help="For clustering and for --rules-per-question: tfidf, hf:MODEL or a LiteLLM name; all-MiniLM-L6-v2 for "
    "real models."
)]  # fmt: skip
Extraction = Annotated[str, Option(
    help="Where rules come from besides --expert-rules: examples, rewritten rationales, rationales, none, or an "
    "installed package's source."
)]  # fmt: skip
ExpertRules = Annotated[Path | None, Option(help="People's own rules: a JSONL of micro-rules, or a rule set as JSON.")]
ClusterSettings = Annotated[
    Texts, Option(help="An argument of the clusters' search, as n_trials=100 or storage=sqlite:///s.db. Repeatable.")
]
GateName = Annotated[str, Option(
    help="Edits that are taken: with a gain on validation (positive), a significant one (significant), all of them "
    "unseen (off), or by an installed package's gate."
)]  # fmt: skip
Proposers = Annotated[Texts, Option(help="An installed package's proposer of edits, beside those here. Repeatable.")]
Operations = Annotated[Texts, Option(help="An installed package's kind of edit, beside the built-in ones. Repeatable.")]
AskRule = Annotated[bool, Option("--ask-rule", help="Ask the student which rules it followed, for diagnosis.")]
Prune = Annotated[bool, Option(help="Measure each rule's use at the end and take out harmful and idle ones.")]
MaxRuleTokens = Annotated[int, Option(min=1, help="Budget of the rules in the student's prompt.")]
RulesPerQuestion = Annotated[
    int | None, Option(min=1, max=1000, help="Put only so many rules into a question's prompt, the nearest to it.")
]
AutoName = Annotated[Auto | None, Option(help="Sets what is not given of rounds, candidates and the cap on calls.")]
MaxIterations = Annotated[int | None, Option(min=0, help="Rounds of conflict resolution; 3. With 0 no pruning either.")]
NumCandidates = Annotated[int | None, Option(min=1, max=3, help="Clusterings that are tried on validation; 3.")]
MaxCalls = Annotated[int | None, Option(min=1, help="After so many calls, no more are started.")]
MaxCost = Annotated[float | None, Option(min=0, help="US dollars that compiling may cost.")]
MaxFailed = Annotated[float, Option(
    min=0, max=1, help="Share of a step's requests that may stay without a reply; with more, the run stops."
)]  # fmt: skip
DryRun = Annotated[bool, Option(help="Say what it would take at most, and call no model.")]
RunFolder = Annotated[Path | None, Option(help="The run folder; the same command again goes on in it.")]
Threads = Annotated[int, Option(min=1, help="Model calls side by side.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object as the last line of standard output.")]
