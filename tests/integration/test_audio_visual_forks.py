"""Workers are forked once the data is loaded; a decoder's threads that a fork inherits would make it wait for ever."""

import gc

from av.container import InputContainer
from helpers.av_data import write_clips
from helpers.loading import load_data
from helpers.runs import recipe


def test_no_decoder_is_left_when_the_data_is_loaded(checkpoint, tmp_path):
    folder = write_clips(tmp_path / "clips")
    keys = recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", folder, tmp_path / "out", dataset="clips")
    gc.collect()
    gc.disable()  # or it would be a matter of chance
    try:
        assert len(load_data(keys | {"use_cpu": True}).train)
        assert not [item for item in gc.get_objects() if isinstance(item, InputContainer)]
    finally:
        gc.enable()
