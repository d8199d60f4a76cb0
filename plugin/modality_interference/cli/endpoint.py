"""`diagnose --endpoint`: options of a model behind an API, what a run would send, and the run."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..printable import printable
from .terminal import progress_bar, say


if TYPE_CHECKING:
    from ..endpoint.run import Endpoint
    from ..integration.diagnose import DiagnosisPlan

Url = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="Ask a server with an OpenAI-compatible API, such as http://localhost:8000/v1; DATA comes alone then.",
        show_default=False,
    ),
]
ServerModel = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="The model's name at the endpoint.", show_default=False)
]
KeyVariable = Annotated[
    str | None,
    typer.Option(
        "--api-key-env",
        metavar="VARIABLE",
        help="The environment variable with the endpoint's key.  [default: OPENAI_API_KEY, where it is set]",
    ),
]
Concurrency = Annotated[
    int, typer.Option(min=1, max=1000, metavar="N", help="Requests to the endpoint at the same time.")
]
Timeout = Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long to wait for the endpoint's reply.")]
MaxTokens = Annotated[int, typer.Option(min=1, metavar="N", help="Of an answer of the endpoint.")]
Video = Annotated[
    Literal["frames", "url"],
    typer.Option(help="How the endpoint gets videos: some frames as images, or a file as `video_url`."),
]
Frames = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Of each video, with `--video frames`.")]
PriceIn = Annotated[
    float | None, typer.Option(min=0, metavar="PRICE", help="Of a million tokens sent to the endpoint.")
]
PriceOut = Annotated[
    float | None, typer.Option(min=0, metavar="PRICE", help="Of a million tokens of the endpoint's answers.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how much would be sent to the endpoint; send and write nothing.")
]


def say_volume(plan: "DiagnosisPlan", endpoint: "Endpoint") -> None:
    """Print what a run would send."""
    from ..endpoint.run import count_requests

    found = count_requests(plan, endpoint)
    left = found.requests - found.answered
    say(f"{found.requests:,} requests of {found.rows:,} rows: each as it is, and its changed copies.")
    if found.answered:
        say(f"{found.answered:,} are answered already or the same as others, so that {left:,} are left.")

    if found.dropped:
        say(f"{found.dropped:,} rows or copies cannot be asked: `modality-interference check` names them.", "bad")

    say(
        f"To send: {found.media:,} media files of {found.media_bytes:,} bytes, and about {found.text_tokens:,} tokens of text."
    )
    say(f"To receive: at most {left * endpoint.max_tokens:,} tokens.")
    cost = endpoint.cost(found.text_tokens, left * endpoint.max_tokens)
    if cost is not None:
        say(f"Cost: at most {cost:,.4f}, and what the endpoint counts for media.")


def ask_server(plan: "DiagnosisPlan", endpoint: "Endpoint") -> None:
    """Let a server answer, and say what it took."""
    from ..endpoint.run import diagnose

    if endpoint.address.is_exposed:
        say(
            printable(
                f"Questions{' and the key' if endpoint.address.has_key else ''} go to {endpoint.address.host} unencrypted."
            ),
            "bad",
        )

    with progress_bar(printable(f"Asking {endpoint.model}")) as show_progress:
        diagnosis = diagnose(plan, endpoint, show_progress)

    run = diagnosis.run
    tokens = [
        f"{run[key]:,} {what}"
        for key, what in (("prompt_tokens", "tokens sent"), ("answer_tokens", "received"))
        if run[key]
    ]
    cost = [f"cost {run['cost']:,.4f}"] if run["cost"] is not None else []
    earlier = run["requests"] - run["asked"]
    answers = f"{run['requests']:,} answers" + (f" ({earlier:,} of them from earlier starts)" if earlier > 0 else "")
    say(", ".join([answers, *tokens, *cost]) + ".")
    if diagnosis.scoring == "top_logprobs":
        say("The endpoint gives probabilities: letters are scored by them.")
    elif plan.scoring == "likelihood":
        say("The endpoint gives no probabilities: answers are read, and causal effects are not known.")
