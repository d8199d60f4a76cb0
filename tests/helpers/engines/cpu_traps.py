"""Three traps of LLaMA-Factory's engines on CPUs. On GPUs none of them exists; the plugin knows nothing of them."""

from functools import wraps
from typing import Any

from accelerate.state import AcceleratorState, DistributedType, PartialState
from llamafactory.extras.packages import is_ray_available
from llamafactory.train import tuner


def apply() -> None:
    """Step around all of them; harmless for the engines that they do not concern."""
    _let_fsdp_shard_cpus()
    _let_zero_wait()
    _let_ray_place_workers()


def _let_fsdp_shard_cpus() -> None:
    """Accelerate 1.11 ignores an FSDP plugin where several processes run on CPUs, and silently trains as DDP."""
    stock = AcceleratorState.__init__

    @wraps(stock)
    def init(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        stock(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = init


def _let_zero_wait() -> None:
    """DeepSpeed 0.18.4 waits for the last of several asynchronous calls only; gloo finishes them in any order."""
    from deepspeed.comm.torch import TorchBackend

    for name in ("all_gather", "all_gather_into_tensor", "all_gather_base", "all_gather_coalesced", "broadcast"):
        setattr(TorchBackend, name, _waiting(getattr(TorchBackend, name)))


def _waiting(call: Any) -> Any:
    @wraps(call)
    def waiting(*args: Any, **kwargs: Any) -> Any:
        handle = call(*args, **kwargs)
        if hasattr(handle, "wait"):
            handle.wait()

        return handle

    return waiting


def _let_ray_place_workers() -> None:
    """LLaMA-Factory 0.9.5 takes every CPU core for a device and asks for ten cores beside each: never to be had.

    It also asks Ray's dashboard for the head node's address; that is not in the plain package.
    """
    if not is_ray_available():
        return

    from ray.util import get_node_ip_address

    stock = tuner.get_placement_group
    tuner.get_placement_group = lambda devices: stock(devices // 10)
    tuner.get_ray_head_node_ip = get_node_ip_address
