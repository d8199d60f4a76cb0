"""The report of one diagnosis: its words, its files, and the page in a real browser."""

import http.server
import re
import resource
import threading
from pathlib import Path

import pytest
from helpers.diagnoses import diagnosis, flip, image_uri, rate, result, scored
from helpers.pages import background, open_page, overflow, plain, requested, shown, texts
from hypothesis import given
from hypothesis import strategies as st
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from modality_interference.errors import ModalityInterferenceError
from modality_interference.report.page import flip_card, introduction, write_report
from modality_interference.report.summary import diagnosis_summary
from modality_interference.report.table import tidy_table
from modality_interference.report.text import breakable, visible
from modality_interference.results import Diagnosis, Flip


ROWS = scored(perturbation="misleading_text", correct=[False] * 4, causal_effect=[0.1, 0.7, 0.9, 1.0])
GALLERY = [
    flip(),
    flip(row=5, perturbation="unrelated_text", prompt="Which bird?", perturbed_prompt="It rains. Which bird?"),
    flip(dataset="sums", row=8, perturbation="black_image", prompt="2 plus 2?", perturbed_prompt="2 plus 2?"),
]
CLIPS = [
    {"modality": "video", "caption": "dog.mp4, 2.0 s, 64 × 48", "uri": image_uri("red")},
    {"modality": "audio", "caption": "dog.wav: cannot be shown, missing audio"},
    {"modality": "audio", "caption": "silence, 2.0 s", "uri": image_uri("black")},
]
HOSTILE = "<script>window.hacked=1</script>\"><img src=x onerror='window.hacked=1'>{{ 7 * 7 }}"
ATTEMPTS = """
    const done = arguments[0];
    new Image().src = "/picture";
    for (const tag of ["script", "iframe"]) {
      const element = document.createElement(tag);
      element.src = "/" + tag;
      document.body.append(element);
    }
    fetch("/fetch").catch(() => {}).finally(() => setTimeout(done, 300));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a diagnosis with three datasets."""
    folder = tmp_path_factory.mktemp("report")
    return write_report(folder, diagnosis(gallery=GALLERY, notes=["One row was dropped."]), ROWS)[0]


class TestIntroduction:
    def test_says_what_was_done_with_an_example(self) -> None:
        assert plain(introduction(diagnosis(gallery=GALLERY))) == (
            "The model was asked 300 questions, each as it is and again with one input changed that should not matter for the "
            "answer (a perturbation). Where its answer changes all the same (a flip), that input interferes. For example, "
            "asked Which animal is shown? it answered cat; after This picture seems to depict a dog. was put into the prompt "
            "(misleading_text), it answered dog."
        )

    def test_of_another_medium(self) -> None:
        assert "after a medium changed (black_image)" in plain(introduction(diagnosis(gallery=GALLERY[2:])))

    def test_without_twins(self) -> None:
        found = introduction(diagnosis({"sums": {"clean": result(accuracy=0.5)}}))
        assert plain(found) == "The model was asked 100 questions, all as they are: no input was changed."


@pytest.mark.parametrize(
    ("answer", "shown_as"),
    [
        (None, "unparsable"),
        ("", "(empty)"),
        (" \n", r"(nothing but ' \n')"),
        ("a\x00b", r"a\x00b"),
        ("déjà vu", "déjà vu"),
    ],
)
def test_answers_that_do_not_print(answer: str | None, shown_as: str) -> None:
    assert visible(answer) == shown_as


def test_paths_break_behind_slashes_and_stay_text() -> None:
    assert breakable("a/<b>_c") == "a/<wbr>&lt;b&gt;_<wbr>c"


@pytest.mark.parametrize(
    ("flips", "said"), [(3, "All 3 flips: answers that"), (9, "The 3 strongest flips of 9: answers that")]
)
def test_how_many_of_the_flips_are_shown(tmp_path: Path, flips: int, said: str) -> None:
    rows = scored(perturbation="p", correct=[False] * 9, flipped=[index < flips for index in range(9)])
    page = write_report(tmp_path, diagnosis({"sums": {}}, gallery=GALLERY), rows)[0]
    assert said in page.read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_a_right_free_answer_is_marked_right_whatever_its_words(tmp_path: Path) -> None:
    rows = scored(perturbation="p", correct=[False], flipped=[True])
    keys = dict(right_answer="cat", clean_answer="A cat.", perturbed_answer="cat")
    for marks, expected in (
        (dict(clean_correct=True, perturbed_correct=False), [("good", "A cat."), ("bad", "cat")]),
        ({}, [("bad", "A cat."), ("good", "cat")]),  # of an earlier release
    ):
        page = write_report(tmp_path, diagnosis({"sums": {}}, gallery=[flip(**keys, **marks)]), rows)[0].read_text()
        assert re.findall('<dd class="(good|bad)">(.*?)</dd>', page) == expected


class TestSummary:
    def test_names_the_most_and_the_least_vulnerable_with_figures_and_intervals(self) -> None:
        words = plain(diagnosis_summary(tidy_table(diagnosis())))

        assert (
            "most vulnerable to misleading_text on pictures: 84.0 % (79.0 to 89.0) of the answers change, accuracy falls "
            "from 97.0 % to 16.0 % (11.0 to 21.0) and the mean causal effect is 0.700 bits." in words
        )
        assert "least vulnerable to unrelated_text on pictures: 19.0 % (14.0 to 24.0)" in words
        assert (
            "Under misleading_text on pictures it chooses the target, the wrong option that the perturbation names, in 79.0 %"
            in words
        )
        assert "both has clean rows only: interference was not measured on it." in words

    def test_one_perturbation_is_neither_most_nor_least(self) -> None:
        figures = {"clean": result(accuracy=0.5), "black_image": result(accuracy=0.5, flip_rate=0.1)}

        words = plain(diagnosis_summary(tidy_table(diagnosis({"sums": figures}))))

        assert "vulnerable" not in words
        expected = "Under black_image on sums, 10.0 % (5.0 to 15.0) of the answers change and accuracy stays at 50.0 %"
        assert expected in words

    def test_says_when_nothing_changed(self) -> None:
        figures = {"clean": result(accuracy=1.0), **{name: result(accuracy=1.0, flip_rate=0.0) for name in ("a", "b")}}

        assert "No perturbation changed any answer." in plain(
            diagnosis_summary(tidy_table(diagnosis({"sums": figures})))
        )

    def test_says_nothing_of_answers_that_nobody_could_read(self) -> None:
        rates = dict(accuracy=0.0, flip_rate=0.0, misled_rate=0.0, unparsable_rate=1.0)
        figures = {"clean": result(accuracy=0.0, unparsable_rate=1.0), "a": result(**rates)}

        words = plain(diagnosis_summary(tidy_table(diagnosis({"sums": figures}, scoring="generate"))))

        assert "No perturbation" not in words and "never chose" not in words
        assert "100.0 % of the generated answers could not be parsed" in words

    def test_equal_flip_rates_are_not_ranked(self) -> None:
        figures = {name: result(accuracy=0.5, flip_rate=0.4) for name in ("a", "b")} | {"clean": result(accuracy=0.9)}

        words = plain(diagnosis_summary(tidy_table(diagnosis({"sums": figures}))))

        assert "All perturbations change equally many answers: 40.0 % (35.0 to 45.0)." in words

    def test_ties_are_not_broken_by_their_order(self) -> None:
        figures = {name: result(accuracy=0.5, flip_rate=value) for name, value in (("a", 0.4), ("b", 0.1), ("c", 0.4))}

        words = plain(diagnosis_summary(tidy_table(diagnosis({"sums": figures | {"clean": result(accuracy=0.9)}}))))

        assert "most vulnerable, alike, to a on sums and c on sums: under each, 40.0 % of the answers change." in words
        assert "least vulnerable to b on sums" in words

    def test_guesses_cannot_be_vulnerable(self) -> None:
        """Chance is 25 %: an accuracy of 28 ± 5 % is not above it, one of 35 ± 5 % is."""
        guessed = {"clean": result(accuracy=0.28), "a": result(accuracy=0.1, flip_rate=0.9)}
        known = {
            "clean": result(accuracy=0.35),
            "b": result(accuracy=0.3, flip_rate=0.2),
            "c": result(flip_rate=0.1, accuracy=0.3),
        }

        words = plain(diagnosis_summary(tidy_table(diagnosis({"hard": guessed, "sums": known}))))

        assert "most vulnerable to b on sums" in words
        assert (
            "Of hard, the clean rows under a are answered no better than by guessing (28.0 % against 25.0 %): flips there say "
            "nothing about interference." in words
        )
        assert "35.0 % (30.0 to 40.0) on sums (guessing: 25.0 %)" in words

    def test_free_answers_are_not_guessed(self) -> None:
        free = {"clean": result(accuracy=0.0), "a": result(accuracy=0.0, flip_rate=1.0)}
        words = plain(diagnosis_summary(tidy_table(diagnosis({"free": free})).assign(chance=float("nan"))))

        assert "Of free, the clean rows under a are never answered correctly" in words
        assert "guessing" not in words

    def test_twins_fall_from_their_own_clean_rows(self) -> None:
        """The published figures of a clip benchmark: audio questions fall from 46.6 %, not from the 61.1 % of all rows."""
        own = {"accuracy": rate(0.466), "other_modality_rate": rate(0.04)}
        twins = result(accuracy=0.252, flip_rate=0.5, other_modality_rate=0.44).model_copy(update={"clean": own})

        words = plain(
            diagnosis_summary(
                tidy_table(diagnosis({"clips": {"clean": result(accuracy=0.611), "swapped_video": twins}}))
            )
        )

        assert "accuracy falls from 46.6 % to 25.2 % (20.2 to 30.2)" in words
        assert "(swapped_video on clips), and in 4.0 % of the same rows when they are clean." in words

    def test_clean_rows_only(self) -> None:
        figures = {"one": {"clean": result(accuracy=0.5)}, "two": {"clean": result(accuracy=0.6)}}

        words = plain(diagnosis_summary(tidy_table(diagnosis(figures))))

        assert words.endswith("one and two have clean rows only: interference was not measured on them.")

    def test_counts_unparsable_answers(self) -> None:
        figures = {"clean": result(accuracy=0.5, unparsable_rate=0.25)}

        assert "Up to 25.0 % of the generated answers could not be parsed (worst: clean on sums)" in plain(
            diagnosis_summary(tidy_table(diagnosis({"sums": figures}, scoring="generate")))
        )

    def test_accuracy_can_rise(self) -> None:
        figures = {"clean": result(accuracy=0.5), "black_image": result(accuracy=0.6, flip_rate=0.1)}

        assert "accuracy rises from 50.0 % to 60.0 %" in plain(
            diagnosis_summary(tidy_table(diagnosis({"sums": figures})))
        )


class TestGallery:
    def test_marks_what_was_inserted(self) -> None:
        pieces = [(piece.change, piece.text) for piece in flip_card(flip()).pieces]

        assert pieces == [
            ("same", "<image>"),
            ("added", "This picture seems to depict a dog.\n"),
            ("same", "Which animal is shown?"),
        ]

    def test_an_image_that_the_twin_keeps_is_shown_once(self) -> None:
        assert flip_card(flip()).perturbed_images == []
        assert len(flip_card(flip(perturbed_images=[image_uri("blue")])).perturbed_images) == 1

    def test_only_embedded_images_are_shown(self) -> None:
        addresses = ["https://example.org/a.png", "javascript:alert(1)", "data:text/html,hello", "file:///etc/passwd"]

        assert flip_card(flip(images=[*addresses, image_uri("red")])).images == [image_uri("red")]

    def test_clips_that_the_twin_keeps_are_shown_once(self) -> None:
        video, audio, silence = CLIPS
        shown = flip_card(flip(clips=[video, audio], perturbed_clips=[silence])).clips

        assert [(clip.modality, whose, clip.caption, bool(clip.uri)) for whose, clip in shown] == [
            ("video", "clean and perturbed", "dog.mp4, 2.0 s, 64 × 48", True),
            ("audio", "clean", "dog.wav: cannot be shown, missing audio", False),
            ("audio", "perturbed", "silence, 2.0 s", True),
        ]

    def test_what_takes_the_place_of_frames_stands_beside_them(self) -> None:
        video, audio, _ = CLIPS
        shown = flip_card(flip(clips=[video, audio], perturbed_clips=[video])).clips

        assert [(clip.modality, whose) for whose, clip in shown] == [
            ("video", "clean"),
            ("video", "perturbed"),
            ("audio", "clean and perturbed"),
        ]

    @pytest.mark.parametrize("uri", ["https://example.org/a.png", "data:text/html,hello", "javascript:alert(1)"])
    def test_only_embedded_images_of_clips_are_shown(self, uri: str) -> None:
        ((_, shown),) = flip_card(flip(clips=[{"modality": "video", "caption": "a.mp4", "uri": uri}])).clips

        assert shown.uri == ""

    def test_flips_of_earlier_releases_have_no_clips(self) -> None:
        earlier = flip().model_dump(exclude={"clips", "perturbed_clips"})

        assert flip_card(Flip.model_validate(earlier)).clips == []

    def test_long_insertions_are_shortened(self) -> None:
        shown = flip_card(flip(prompt="Which?", perturbed_prompt="Which? " + "x" * 9_999))

        assert sum(len(piece.text) for piece in shown.pieces) < 1_000
        assert "9,200 characters" in shown.pieces[-1].text  # a space and 9,999 letters, less the 800 shown

    @given(st.text("ab .\n", max_size=60), st.text("ab .\n", max_size=60))
    def test_pieces_spell_both_prompts(self, clean: str, perturbed: str) -> None:
        pieces = flip_card(flip(prompt=clean, perturbed_prompt=perturbed)).pieces

        assert "".join(piece.text for piece in pieces if piece.change != "removed") == perturbed
        assert "".join(piece.text for piece in pieces if piece.change != "added") == clean


class TestFiles:
    def test_writes_the_page_and_three_plots(self, page: Path) -> None:
        assert {path.name for path in page.parent.iterdir()} == {
            "interference.html",
            "interference_rates.png",
            "interference_radar.png",
            "interference_effects.png",
        }

    def test_without_causal_effects_their_plot_of_an_earlier_run_goes(self, tmp_path: Path) -> None:
        write_report(tmp_path, diagnosis(), ROWS)
        generated = scored(perturbation="misleading_text", correct=[False])
        files = write_report(tmp_path, diagnosis(scoring="generate"), generated)

        assert not (tmp_path / "interference_effects.png").exists()
        assert all(path.exists() for path in files)

    @pytest.mark.parametrize("datasets", [{}, {"empty": {}}, {"sums": {"clean": result(rows=0)}}])
    def test_a_diagnosis_without_figures_still_has_a_page(self, tmp_path: Path, datasets: dict) -> None:
        assert "How to read the figures" in write_report(tmp_path, diagnosis(datasets), [])[0].read_text()

    def test_a_failing_write_leaves_the_old_page(self, tmp_path: Path) -> None:
        page, *plots = write_report(tmp_path, diagnosis(notes=["x" * 100_000]), ROWS)
        before = page.read_bytes()
        largest_plot = max(path.stat().st_size for path in plots)
        assert len(before) > largest_plot + 10_000
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_plot + 5_000, limits[1]))  # plots fit, the page does not
        try:
            with pytest.raises(ModalityInterferenceError, match="cannot write .*interference.html"):
                write_report(tmp_path, diagnosis(seed=8, notes=["x" * 100_000]), ROWS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        assert page.read_bytes() == before
        assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (page, *plots)}

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file")

        with pytest.raises(ModalityInterferenceError, match="cannot write"):
            write_report(tmp_path / "taken", diagnosis(), ROWS)

    def test_text_that_no_file_can_hold(self, tmp_path: Path) -> None:
        odd = Diagnosis.model_validate({**diagnosis().model_dump(), "model": {"name_or_path": "\ud800"}})

        assert "<title>Modality interference of ?</title>" in write_report(tmp_path, odd, ROWS)[0].read_text()

    def test_says_when_the_diagnosis_was_made(self, page: Path) -> None:
        assert "diagnosed on 12 January 2026, 10:31 UTC by option likelihood" in page.read_text()


class TestBrowser:
    def test_loads_without_console_messages_or_requests(self, chromium, page: Path) -> None:
        open_page(chromium, page)

        assert chromium.title == "Modality interference of models/base"
        assert chromium.get_log("browser") == []
        assert {url for url in requested(chromium) if not url.startswith("data:image/png;base64,")} <= {
            page.as_uri(),
            "data:,",
        }
        loaded = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
        assert chromium.execute_script(loaded)
        assert len(shown(chromium, "svg.plot")) == 3

    def test_the_policy_forbids_every_request(self, chromium, page: Path) -> None:
        guarded = page.read_bytes()
        served = {"/guarded": guarded, "/bare": re.sub(rb"<meta http-equiv[^>]+>", b"", guarded)}
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(served.get(self.path, b""))

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            for path in served:
                chromium.get(f"http://127.0.0.1:{server.server_port}{path}")
                chromium.execute_async_script(ATTEMPTS)
        finally:
            server.shutdown()
            server.server_close()

        assert asked[0] == "/guarded" and asked[1] == "/bare"  # nothing between them, and then
        assert set(asked[2:]) == {"/picture", "/script", "/iframe", "/fetch"}

    @pytest.mark.parametrize("with_policy", [True, False])
    def test_text_from_data_stays_text(self, chromium, tmp_path: Path, with_policy: bool) -> None:
        figures = {"clean": result(accuracy=1.0), HOSTILE: result(accuracy=0.5, flip_rate=0.5, misled_rate=0.5)}
        evil = flip(
            dataset=HOSTILE,
            perturbation=HOSTILE,
            prompt=HOSTILE,
            perturbed_prompt=HOSTILE + HOSTILE,
            right_answer=HOSTILE,
            clean_answer=HOSTILE,
            perturbed_answer=HOSTILE,
            clean_response=HOSTILE,
            perturbed_response=HOSTILE,
            target=HOSTILE,
            images=[
                'data:image/png;base64,"><script>window.hacked=1</script>',
                "data:image/svg+xml,<svg onload='window.hacked=1'/>",
            ],
            clips=[
                {"modality": "video", "caption": HOSTILE, "uri": "data:image/png;base64,\"onerror='window.hacked=1'>"}
            ],
        )
        texts_of = {
            "model": {"name_or_path": HOSTILE, HOSTILE: HOSTILE},
            "data": {HOSTILE: [HOSTILE]},
            "notes": [HOSTILE],
        }
        unread = {"dataset": HOSTILE, "row": 0, "perturbation": HOSTILE, "right": HOSTILE, "response": HOSTILE}
        texts_of["unparsable"] = [unread]
        hostile = diagnosis({HOSTILE: figures}, [evil], created=HOSTILE, run={"x": {"y": HOSTILE}}, **texts_of)
        page = write_report(tmp_path, hostile, scored(HOSTILE, HOSTILE, [True], causal_effect=[0.5]))[0]
        if not with_policy:  # escaping must hold by itself
            page.write_text(re.sub("<meta http-equiv[^>]+>", "", page.read_text()))

        open_page(chromium, page)

        assert chromium.execute_script("return window.hacked") is None
        assert chromium.find_elements(By.CSS_SELECTOR, "img[src='x'], [onerror], [onload], svg:not(.plot)") == []
        assert len(chromium.find_elements(By.TAG_NAME, "script")) == 2
        assert chromium.title == f"Modality interference of {HOSTILE}"
        for selector in (
            "td",
            "th[scope=row]",
            ".prompt",
            ".unread .prompt",
            ".unread h3",
            "dd",
            "dt",
            "li",
            ".flip h3",
            "option",
            "figcaption",
        ):
            assert any(HOSTILE in text for text in texts(chromium, selector)), selector

    @pytest.mark.parametrize("width", [360, 1280])
    def test_clips_fill_their_card(self, chromium, tmp_path: Path, width: int) -> None:
        gallery = [flip(images=[], perturbed_images=[], clips=CLIPS[:2], perturbed_clips=CLIPS[2:])]
        page = write_report(tmp_path, diagnosis(gallery=gallery), ROWS)[0]

        open_page(chromium, page, width=width, height=740)

        assert texts(chromium, ".flip figcaption") == [
            "Video, clean and perturbed: dog.mp4, 2.0 s, 64 × 48",
            "Audio, clean: dog.wav: cannot be shown, missing audio",
            "Audio, perturbed: silence, 2.0 s",
        ]
        card = shown(chromium, ".flip")[0].size["width"]
        assert [0.8 * card < image.size["width"] < card for image in shown(chromium, ".clips img")] == [True, True]
        assert overflow(chromium) <= 0

    def test_filters_by_words(self, chromium, page: Path) -> None:
        open_page(chromium, page)
        assert texts(chromium, "output") == ["Showing 7 of 7 table rows, 3 of 3 flips"]

        chromium.find_element(By.NAME, "text").send_keys("PICTURES text")

        assert texts(chromium, "tbody th") == ["misleading_text", "unrelated_text"]
        assert len(shown(chromium, ".flip")) == 2
        assert texts(chromium, "output") == ["Showing 2 of 7 table rows, 2 of 3 flips"]
        chromium.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
        assert len(shown(chromium, "tbody tr")) == 7

    def test_filters_by_dataset_and_perturbation(self, chromium, page: Path) -> None:
        open_page(chromium, page)

        Select(chromium.find_element(By.NAME, "dataset")).select_by_visible_text("sums")
        assert texts(chromium, "tbody th") == ["clean", "black_image", "random_pixels"]
        Select(chromium.find_element(By.NAME, "perturbation")).select_by_visible_text("misleading_text")

        assert shown(chromium, "tbody tr") == []
        assert texts(chromium, "[data-empty]") == ["No row matches the filter.", "No flip matches the filter."]

    def test_finds_flips_by_their_question(self, chromium, page: Path) -> None:
        open_page(chromium, page)

        chromium.find_element(By.NAME, "text").send_keys("bird")

        assert texts(chromium, ".flip h3") == ["unrelated_text on pictures, row 5"]

    def test_sorts_by_figures_with_missing_ones_last(self, chromium, page: Path) -> None:
        open_page(chromium, page)
        header = next(item for item in shown(chromium, "thead th") if item.text.startswith("Flip rate"))
        button = header.find_element(By.TAG_NAME, "button")
        flips = "tbody td:nth-child(6)"

        def order() -> list[str]:
            return [text.split(" %")[0] for text in texts(chromium, flips)]

        button.click()
        assert header.get_attribute("aria-sort") == "ascending"
        assert order() == ["19.0", "20.0", "71.0", "84.0", "–", "–", "–"]
        button.click()
        assert header.get_attribute("aria-sort") == "descending"
        assert order() == ["84.0", "71.0", "20.0", "19.0", "–", "–", "–"]

    def test_sorts_by_name_with_the_keyboard(self, chromium, page: Path) -> None:
        open_page(chromium, page)
        search = chromium.find_element(By.NAME, "text")
        search.click()

        for _ in range(6):  # dataset, perturbation, reset, the scrolling region, then the first two headers
            chromium.switch_to.active_element.send_keys(Keys.TAB)

        assert chromium.switch_to.active_element.text.startswith("Perturbation")
        chromium.switch_to.active_element.send_keys(Keys.ENTER)

        names = texts(chromium, "tbody th")
        assert names == sorted(names)
        assert [item.get_attribute("aria-sort") for item in shown(chromium, "thead th")[:2]] == ["none", "ascending"]

    @pytest.mark.parametrize("system_is_dark", [False, True])
    def test_the_button_switches_page_and_plots(self, chromium, page: Path, system_is_dark: bool) -> None:
        plot = "return [...document.querySelectorAll('.plot path')].map(part => getComputedStyle(part).fill).join()"
        open_page(chromium, page, dark=not system_is_dark)
        other = background(chromium), chromium.execute_script(plot)
        open_page(chromium, page, dark=system_is_dark)
        own = background(chromium), chromium.execute_script(plot)
        assert own[0] != other[0] and own[1] != other[1]
        button = chromium.find_element(By.ID, "theme")
        assert button.text == ("Switch to light" if system_is_dark else "Switch to dark")

        button.click()
        assert (background(chromium), chromium.execute_script(plot)) == other
        assert button.text == ("Switch to dark" if system_is_dark else "Switch to light")
        button.click()
        assert (background(chromium), chromium.execute_script(plot)) == own

    @pytest.mark.parametrize("width", [360, 1280])
    def test_never_scrolls_sideways(self, chromium, tmp_path: Path, width: int) -> None:
        long = "a_name_without_any_place_to_break_it_" * 5
        figures = {"clean": result(accuracy=1.0), long: result(accuracy=0.5, flip_rate=0.5, causal_effect=0.1)}
        gallery = [flip(dataset=long, perturbation=long, perturbed_prompt="x" * 3000, perturbed_answer=long)]
        wide = diagnosis({long: figures, "b": figures}, gallery, model={"name_or_path": long}, notes=[long])
        page = write_report(tmp_path, wide, ROWS)[0]

        open_page(chromium, page, width=width, height=740)

        assert overflow(chromium) <= 0
        assert min(element.size["width"] for element in shown(chromium, ".card")) > 200
        plots = shown(chromium, ".plot")
        assert {element.get_attribute("class") for element in plots} == {"plot narrow" if width < 700 else "plot wide"}
        assert all(element.rect["x"] + element.rect["width"] <= width for element in plots)  # nothing is cut

    def test_on_a_phone_figures_keep_their_names(self, chromium, page: Path) -> None:
        open_page(chromium, page, width=360, height=740)
        second = shown(chromium, "tbody tr")[1]

        labels = chromium.execute_script(
            "return [...arguments[0].cells].map(cell => getComputedStyle(cell, '::before').content)", second
        )

        assert labels[4:8] == ['"Accuracy"', '"Flip rate"', '"Causal effect"', '"Misled rate"']
        assert all(element.size["width"] <= 360 for element in second.find_elements(By.CSS_SELECTOR, "td, th"))
