"""The facts by name and meaning; reported ones are in `words`, those of log messages are named ``msg.KEY``."""

from __future__ import annotations

from collections.abc import Mapping

_TABLE = """
card.kept: discovery keeps a card
card.none_there: discovery keeps no card and nothing lies on one
discovery.empty: discovery keeps nothing but the processor
backend.live: a GPU backend works
place.whole: all of the model is on the GPU
place.short: not all of the model is on the GPU
place.none: nothing of the model is on the GPU
place.part: part of the model is on the GPU
place.planned: only the plan of the placement is known
place.reported_whole: only words say that all of the model is on the GPU
place.reported: only words say where the model is
place.past: the model was on the GPU, and none is loaded now
place.listed_only: only a list of loaded models says where the model is
place.unallocated: layers were planned for the card, and no buffer lies on it
place.phantom: layers on a GPU are claimed, and no buffer lies on a device
place.bytes_lag: the layers are on the GPU, many of the bytes are not
place.list_contradicts: a list shows less on the GPU than the load's lines
place.mostly_host: most of the weights are in system memory by their buffers
place.compute_on_cpu: a large compute buffer is in system memory
request.few: few layers were requested, and the request is met
request.default: no number of layers was requested
request.all: all layers were requested
request.unmet: a number of layers was requested, and fewer were placed
request.over: more layers were requested than fit by the server's own figures
request.forces: a number of layers was requested that the card does not hold
request.hangs: a load that was forced never ended
request.inherited: llama-server took the number of layers from its environment
request.unexplained: fewer layers than fit were loaded, and no request is known
request.fails: a request to the loaded model failed
ask.small: a client or Modelfile names a small num_gpu
ask.several: the small num_gpu is more than one layer
ask.large: a client or Modelfile names a large num_gpu
ask.contexts_differ: several values of num_ctx are requested
ask.options_differ: requests for one model differ in options of the load
ask.computed_context: a client computes num_ctx again for each request
result.one_layer: exactly one layer was placed
server.silent: the server gives no answer
server.older_than_client: a server of an earlier release answers than the one that is installed
release.probes_itself: the server of this release asks the driver for cards itself, without its GPU libraries
card.kept_other: discovery kept integrated graphics by Vulkan and left out the NVIDIA card
server.at_boot: the server was started within two minutes of the machine's start
server.absent: a host was looked at, and no server answers
server.unit_stopped: the systemd unit of the server is stopped, and no server answers
wsl.stopped: the distribution of WSL is stopped, and no server answers
wsl.unit_stopped: the distribution of WSL runs, the server in it is stopped, and no server answers
wsl.cut_off: a setting of .wslconfig keeps Windows from reaching the server in a distribution
wsl.memory_limited: WSL's virtual machine has less than half of the host's memory
wsl.restartable: systemd starts the server with its distribution
server.behind_proxy: a proxy answers in the server's place
runner.dead: a runner is listed that has no process
runner.dead_seen: a request to the dead runner failed
runner.died: the runner ended while it answered
runner.gone: the runner is no more
load.died: the load failed
load.died_without_layers: the load failed although no layer was to be on the card
load.slow: the load took a minute or more
load.dominates: most of a request's time is loading
load.each_after_pause: each load comes after a pause in which the server unloads
load.after_pause: by the access log only answers after a pause take long
load.small_part: loading is the smaller part of a request's time
load.options_differ: one model was loaded with several contexts in turn
keep_alive.forever: keep_alive or the list of loaded models says that the model stays loaded
keep_alive.zero: OLLAMA_KEEP_ALIVE or keep_alive of the request unloads the model after each answer
speed.brisk: the server writes as fast as a card does
speed.slow: the server writes as slowly as a processor does
happened.load_died: what happened is a load that died
happened.died_generating: what happened is a runner that died while generating
happened.no_device: what happened is that no device was found
happened.none_placed: what happened is that no layer was placed although there is a device
happened.part: what happened is that part of the layers was placed
happened.slow_load: what happened is a slow load
happened.slow_on_gpu: what happened is slowness although all is on the GPU
happened.nothing_wrong: nothing is wrong
vram.free: the card is free but for the desktop
vram.orphans: runners of a server that was killed hold the card
vram.programs: other programs are listed with much of the card's memory
vram.programs_much: other programs hold a large part of the card, and the model would fit without them
vram.smi_full: more than half of the card is in use although no model is loaded
vram.taken_at_start: much of the card was in use when the server started
vram.spare: memory stays free next to the loaded model
vram.no_context: no context could be made on the card because memory is short
vram.no_longer: memory that was in use at the load is free again
vram.partly_free: part of the memory that was in use at the load is free again, and more layers fit
vram.foreseen: the model is not loaded, and others hold what it would need
vram.os_overhead: Windows keeps a gigabyte or more of the card for itself
room.others_decide: all layers would fit an empty card, others hold what they need
room.others_count: others hold part of what all layers need
room.full: less than 1 GiB is free, and others hold half of the card
room.half_taken: others hold half of the card, and layers are missing
room.little: less is free than any card in use today has
room.slots_decide: all layers would fit with one slot
room.slots_help: fewer slots would make room as well
room.slots_oom: many slots need more memory than the card has
room.context_decides: all layers would fit at the default context
room.cache_heavy: the context's cache is a large part of what is needed
room.some_fit: several layers would fit what is free, and none is placed
room.weights_decide: the weights do not fit the empty card
room.weights_exceed: the weights do not fit the card as it is known
room.model_fits: at the default context the model fits the empty card
room.graph_decides: the compute graph alone is larger than the card
room.projector_decides: the projector takes most of what is free
room.projector: the model has a projector that takes memory next to the layers
room.spilled: forced layers are in shared memory
reserve.decides: a setting reserves memory that layers need
reserve.fit_target: the reserve is LLAMA_ARG_FIT_TARGET
reserve.none: nothing is reserved by a setting
overhead.of_projector: the estimate reserves gigabytes next to the layers without a setting
graph.huge: a compute graph of more than any single card's memory was planned
slots.one: one slot
slots.many: three slots or more
slots.loaded: three slots or more were loaded with a cache of 32768 tokens and more
slots.sized: the model's size is what its slots need
slots.very_many: eight slots or more
cache.huge: the slots' cache, not the model, asks for the system memory
context.small: the context is the default or less
context.long: the context is 16384 tokens or more
context.very_long: the context is 32768 tokens or more
context.absurd: the context is a million tokens or more
context.asked_by: a client or Modelfile asks for this context
context.modelfile: the Modelfile asks for this context
context.server: OLLAMA_CONTEXT_LENGTH asks for this context
context.tier: the context is one of those that the release picks by the card's memory
estimate.contradicts_itself: everything fits by the server's own figure, and layers are missing
estimate.overruled: all layers were requested and load, although the estimate said fewer
estimate.total_fits: by the server's own figure everything fits the cards together
estimate.inflated: the server's total is larger than the sum of its parts
size.exceeds_card: the listed size or the model's parameters do not fit the card
size.tight: at the default quantisation the model's parameters hardly fit the card
size.listed_exceeds: the listed size, of which the cache is a part, does not fit the card
size.mostly_cache: the model takes twice its weights' size and more
size.nearly_fits: all but a tenth is on the card, which is about as large as the listed size
size.fits_card: the listed size is smaller than the card
size.many_layers: a model of so many layers does not fit usual cards
size.part: some of the layers fit
size.output_layer: all blocks fit, the output layer does not
compared.share: the same model was on the card whole before
compared.context: with a smaller context more of the model is on the GPU
compared.size: the same model takes more memory than before
compared.slots: with more slots the same model asks for more memory
compared.not_context: with a context as long it was on the card before
compared.free: with more memory free more layers of the same model were placed
other_model.listed: several models are loaded at once
other_model.resident: another model was resident at this load
other_model.dropped: less was free after another model was loaded
other_model.evicted: another model had to be evicted
other_model.turns: models are evicted for each other again and again
other_model.in_vain: without the other model there would not be room either
on.container: the server runs in a container
on.bare: the server runs on the machine itself
on.windows: the server runs on Windows
on.desktop: the server runs in Docker Desktop
on.wsl: WSL is involved
on.windows_host: the machine runs Windows
on.linux: the server runs on Linux
on.live: a host was looked at
host.container: the host that was looked at has Ollama in a container, or an engine that fails
host.linux: the host that was looked at runs Linux
host.wsl: the host that was looked at has Ollama in WSL
host.systemd: the host that was looked at has a unit of systemd that runs Ollama
on.words: nothing but words was given, no output of a program that says anything
windows.old: Windows is older than 21H2
windows.ten: Windows 10
cpu.no_avx: the processor has no AVX
release.needs_avx: the GPU libraries of the release need AVX
card.nvidia: an NVIDIA card
card.amd: an AMD card
card.jetson: an NVIDIA Jetson board
card.apple: an Apple GPU
card.only_apple: an Apple GPU and no other
card.intel: Intel or Qualcomm graphics and no other
card.qualcomm: Qualcomm graphics
card.ancient: an NVIDIA card below compute capability 5.0
card.before_volta: an NVIDIA card below compute capability 7.0
card.before_turing: an NVIDIA card below compute capability 7.5
card.blackwell: an NVIDIA card of compute capability 10.0 or newer
release.before_blackwell: the release is older than the card's generation
driver.drops_card: the driver no longer serves the card's generation
card.none_named: no card is named
card.vgpu: a virtual GPU
card.unlicensed: the virtual GPU has no licence
card.gfx_outside: an AMD card whose type is not in ROCm's list
card.gfx_apu: an AMD APU by its type
override.foreign: HSA_OVERRIDE_GFX_VERSION names another family than the card's type
card.amd_before_vega: an AMD card older than Vega
card.amd_listed: an AMD card in the list of those that ROCm serves
card.amd_integrated: an AMD APU by its name
card.size_known: how much memory the card has is known
card.several: several cards
card.second_small: a small second card
card.busy: nvidia-smi shows the card computing
driver.works: nvidia-smi shows the card
driver.capability_unread: the driver gives a compute capability that no card has
driver.below_floor: the driver is older than this release needs
driver.below_any: the driver is older than any release needs
driver.new_enough: the driver is new enough
driver.before_550: the driver is older than 550
driver.555_or_newer: the driver is 555 or newer
container.asked: the container asks for the GPU
container.no_request: the container does not ask for the GPU
container.no_request_recorded: the engine's record of the container has no device request
container.not_applied: a file asks for the GPU, and the record of the container has no device request
engine.no_nvidia_runtime: the engine lists no nvidia runtime
container.given: the engine's record shows that the container was given the GPU
container.no_compute: the container gets the driver without its compute libraries
image.rocm: the image holds ROCm
image.plain: the image holds CUDA
desktop.state: Docker Desktop or WSL reports its own error
toolkit.version: a release of the container toolkit is named
toolkit.speaks: the container toolkit prints the message itself, so it is installed
cuda.any: CUDA gives an error code other than out of memory
cuda.too_old: CUDA says that the driver does not match the runtime
cuda.lost: CUDA says that the driver does not answer
cuda.stopped: CUDA says that the device stopped while it worked
cuda.no_device: CUDA finds no device
cuda.no_kernel: CUDA has no code for the card
cuda.stub: the toolkit's stub of the driver library was loaded
cuda.container: CUDA says that the container's access to the driver is gone
library.filter: OLLAMA_LLM_LIBRARY skips every GPU library
library.only_one: OLLAMA_LLM_LIBRARY allows one library, which finds no device
library.ignored_name: OLLAMA_LLM_LIBRARY has a name that this release ignores
library.never_looked: OLLAMA_LLM_LIBRARY keeps the server from looking for a card
library.cpu_chosen: OLLAMA_LLM_LIBRARY chooses the processor
device.none: LLAMA_ARG_DEVICE=none takes all devices away
vulkan.on: OLLAMA_VULKAN=1
vulkan.default: the release uses Vulkan by default
cache.quantised: OLLAMA_KV_CACHE_TYPE quantises the cache
quantisation.large: the model's quantisation is larger than the default one
runners.none_for_card: the program brings no library for cards of this maker
folder.absent: Ollama's library folder is not there
folder.cpu_only: Ollama's library folder holds libraries for the processor alone
folder.incomplete: Ollama's library folder lacks the GPU backend
folder.complete: Ollama's library folder holds the GPU backend
visible.nothing: a visibility variable hides every card
visible.empty: a visibility variable is set and empty
visible.no_such_card: a visibility variable names a card that is not there
visible.uuid: a visibility variable names a UUID
visible.quoted: quotation marks are a part of the value of a visibility variable
visible.foreign: a variable of another vendor's cards is set
visible.chosen: a visibility variable chooses among the cards
limit.set: the container has a memory limit
limit.none: the container has no memory limit
ram.ended: system memory ended the load
ram.little: next to none of the machine's memory is available
ram.refused: the server refused the load because system memory is short
release.blind_to_limit: the release does not see a container's memory limit
release.default_by_vram: the release picks the default context by the card's memory
release.before_tiers: the release has one default context
release.fits: the release lets llama-server fit the layers
release.slots_by_default: the release picks the number of slots by the card's memory, up to four
release.needs_550: the release needs driver 550
store.ended: the model's files end too early
store.listed_not_found: the server lists the model and cannot find it
store.no_abilities: the model has no abilities left
store.no_abilities_listed: a listed model has no abilities left
store.panic: the reader panics in the model file's header
store.unloadable: the model file cannot be loaded
"""

FACTS: Mapping[str, str] = dict(line.split(": ", 1) for line in _TABLE.strip().splitlines())
