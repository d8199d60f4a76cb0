"""The one error type that users of the plugin see."""


class ModalityInterferenceError(ValueError):
    """Bad input (a key, a dataset, a row, a batch) that the user can mend; the message says how."""
