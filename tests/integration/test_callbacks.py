"""What the callbacks add to LLaMA-Factory's own."""

from types import SimpleNamespace

from helpers.diagnoses import diagnosis

from modality_interference.integration.callbacks import card_with_rates


LIST = "It achieves the following results on the evaluation set:\n- Loss: 0.5\n\n## Model description\n"


class Pushing:
    """A trainer that writes its card and uploads it at once, as `push_to_hub` does."""

    def __init__(self, folder, found):
        self.args = SimpleNamespace(output_dir=str(folder), do_train=True)
        self.diagnosis = found
        self.uploaded = ""

    def create_model_card(self, **keys):
        with open(f"{self.args.output_dir}/README.md", "w") as file:
            file.write(f"---\nlicense: {keys['license']}\n---\n\n# A model\n\n{LIST}")

    def push_to_hub(self, **keys):
        self.create_model_card(**keys)
        with open(f"{self.args.output_dir}/README.md") as file:
            self.uploaded = file.read()


def test_what_is_uploaded_has_the_rates(tmp_path):
    trainer = Pushing(tmp_path, diagnosis())
    card_with_rates(lambda trainer, *_: trainer.push_to_hub(license="other"))(trainer, None, None, None, None)
    assert "## Modality interference" in trainer.uploaded and "model-index:" in trainer.uploaded
    assert "It achieves" not in trainer.uploaded and trainer.uploaded == (tmp_path / "README.md").read_text()


def test_without_a_diagnosis_the_card_is_as_it_was(tmp_path):
    trainer = Pushing(tmp_path, None)
    card_with_rates(lambda trainer, *_: trainer.push_to_hub(license="other"))(trainer)
    assert LIST in (tmp_path / "README.md").read_text()


def test_a_card_that_cannot_be_read_ends_no_run(tmp_path, warnings):
    trainer = Pushing(tmp_path, diagnosis())
    card_with_rates(lambda trainer, *_: trainer.push_to_hub(license="["))(trainer)
    assert LIST in (tmp_path / "README.md").read_text()
    assert any("The card has no rates of the diagnosis: the metadata of" in text for text in warnings)
