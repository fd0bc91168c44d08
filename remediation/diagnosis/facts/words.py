"""What people say of it: circumstances in prose, each a general pattern of English, none a sentence of one report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from remediation.diagnosis.facts.base import Sheet
from remediation.model.finding import Quote

_WORK = r"(?:work(?:s|ed)?|fine|ok|used? the gpu|on the gpu|fast|fit(?:s|ted)?)"
_RELEASE = r"v?\.?0\.\d{1,2}(?:\.\d{1,2})?"

# fmt: off
WORDS: Mapping[str, tuple[str, str]] = {
    "told.slept": ("it began after suspend, sleep or hibernation", r"suspend|hibernat|resum(?:e|ed|ing) from|(?:after|from|to|went to|computer|laptop|machine|pc|host|system|notebook)[ -](?:\w{1,20} )?(?:the )?(?:sleep(?:s|ing)?\b|slept)|slept|sleep mode|woke|wak(?:e|es|ing) up|standby"),
    "told.after_while": ("the card works in the container at first and is lost later", r"(?:after|for) (?:some|a while|a few|several|a certain|about|approximately|an? (?:long|idle)|\d+)[^\n.]{0,30}(?:time|while|idle|hours?|days?|minutes|weeks?)|after (?:a|some) while|at first|initially|loses? (?:its |the |access to )?(?:gpu|card|device)|lost (?:its |the )?(?:gpu|card)|no longer (?:sees?|has) the (?:gpu|card)|until (?:it|the container) is (?:restart|recreat)|(?:randomly|eventually|periodically|overnight|every few|suddenly|intermittent)"),
    "told.daemon_reload": ("systemd was reloaded", r"daemon-reload|systemctl reload|unattended[- ]upgrade|docker update"),
    "told.after_reboot": ("it is lost with each restart of the host", r"(?:after|on|since|with) (?:each|every|a|the|any|host|system|windows)?[^\n.]{0,20}(?:reboot|restart of the (?:host|machine|pc|server)|boot)"),
    "told.updated": ("it began with another release of Ollama", rf"(?:since|after|from|with) (?:the |an? |my )?(?:ollama )?(?:update|upgrade|updating|upgrading)|(?:since|after|from) (?:ollama |release |version |releases after )?{_RELEASE}|(?:in|with|on) {_RELEASE}[^\n]{{0,60}}{_WORK}|{_WORK}[^\n]{{0,40}}(?:in|with|on|before|until) (?:ollama |version |release )?{_RELEASE}|regression|{_RELEASE}[^\n]{{0,80}}(?:while|whereas|but|where|than with) (?:with )?{_RELEASE}|than (?:with |in )?{_RELEASE}"),
    "told.split": ("somebody says that part of the model is on the processor", r"split (?:between|over|\d|across cpu)|(?:is|was|be|are|gets?) split\b|part(?:ly|ially)? (?:of (?:it|the model) )?(?:runs? |is |stays? |left )?(?:on|in|to) (?:the )?(?:cpu|system memory|ram)\b|layers? (?:stay|remain|are)s? on the cpu|half (?:in|on) (?:the )?(?:system memory|ram|cpu)|spills?\b|leaves? a part to the cpu|(?:two|one)[- ]thirds? on the gpu|smaller share of the gpu|(?:fewer|few|only \d+|not all|half of the) (?:of the )?layers|mostly on the processor"),
    "told.on_cpu": ("somebody says that the model runs on the processor", r"(?:runs?|running|falls? back|goes|loaded|computes?|everything|models?)[^\n.,;]{0,40}(?:on|to|onto|from|into) (?:the )?(?:cpu|processor|ram)\b|cpu[- ]only|slow on (?:the |a )?(?:cpu|processor)|only (?:on |uses? )?(?:the )?cpu|100 ?% cpu|(?:does not|doesn't|do not|did not|never|no longer|not|don't|without|refuses to|ignores?) (?:(?:us(?:e|es|ed|ing)|finds?|sees?|touch\w{0,12}|detects?|recogni[sz]es?|runs? on|load\w{0,12} (?:on|onto|to|into)|(?:make|makes|making) use of) )?(?:the |its |a |an |any |my |our |both |either )?(?:(?:nvidia|amd|intel|dedicated|discrete|integrated|second|external|laptop|rtx|gtx|radeon|geforce|\d{3,4}(?: ?ti| ?xt)?) ){0,3}(?:gpus?|graphics cards?|cards?|egpu|igpu|vram)\b|(?:answers?|answer) (?:comes? )?from the processor|(?:gpu|card)s? (?:is |are |was |gets? )?(?:not|never|no longer) (?:being )?(?:used|detected|found|recogni[sz]ed|seen|touched|accepted)|(?:nvidia|amd|discrete|dedicated|the) (?:gpu|card) is (?:not|ignored|unused)|(?:uses?|using) (?:only )?(?:the |my )?cpu\b|(?:stop(?:s|ped)?|not) using (?:the |its |my )?(?:\w+ )?(?:gpu|card)|(?:cannot|does not|doesn't|do not|fails? to|never) (?:find|see|use|detect|recogni[sz]e|access|reach)s? [^\n.]{0,20}(?:gpu|card|device)s?\b|(?:gpu|card)[^\n.]{0,20}(?:idle|at 0 ?%|0 ?% util)"),
    "told.measured": ("programs are listed with what they hold of the card", r"\|[^|\n]{2,60}\|[ *]{0,6}\d{3,5} ?mib\b|(?:comfyui|python|chrome|whisper|game|obs|blender)[^\n]{0,30}\d{3,5} ?mi?b"),
    "told.more_before": ("an earlier release placed more of the same model", rf"(?:compared (?:to|with)|instead of|vs\.?) [^\n]{{0,60}}{_RELEASE}|after (?:the |an? )?(?:update|upgrade)[^\n]{{0,200}}(?:larger|more memory|fewer|less|split|slower)|(?:fitted|fit|fits|used to fit|fully loaded|whole)[^\n]{{0,40}}(?:before|in {_RELEASE}|with {_RELEASE})|used to (?:fit|be (?:fully|completely|entirely|all)|load (?:fully|completely)|run (?:fully|completely|entirely))|(?:before|until|up to) {_RELEASE}[^\n]{{0,40}}(?:all layers|completely|fully|entirely|whole|100 ?% gpu|fit)"),
    "told.desktop_updated": ("it began with another release of Docker Desktop", r"(?:after|since|with) [^\n]{0,40}(?:updat|upgrad)\w*[^\n]{0,40}docker desktop|docker desktop[^\n]{0,30}(?:updat|upgrad|4\.\d+|3\.\d+)"),
    "told.driver_updated": ("it began with another driver", r"(?:after|since|with) [^\n.]{0,40}(?:updat|upgrad|install)\w*[^\n.]{0,20}driver|driver (?:update|upgrade)|with the \d{3}(?:\.\d+)? [^\n.]{0,20}driver|new(?:er)? (?:nvidia )?driver"),
    "told.other_programs": ("other programs share the card", r"(?<!no )(?:other|another) (?:gpu )?(?:process(?:es)?|programs?|applications?|apps?|tenants?|containers?|vm|software|jobs?|users?|service)[^\n.]{0,60}(?:vram|gpu|card|memory)|(?:vram|gpu|card)[^\n.]{0,40}(?:shared|taken|held|occupied|in use) (?:by|with)|tenants? resident|resident vram|(?:while|when|with) [^\n.]{0,40}(?:is|are) (?:open|running|resident|rendering)|comfyui|stable[- ]diffusion|automatic1111|faster-whisper|\bvllm\b|\bblender\b|playing|\bgames?\b|shares the (?:machine|card|gpu)"),
    "told.other_models": ("more than one model is in use", r"only one model (?:stays|is|remains|gets|can be)[^\n.]{0,20}(?:loaded|listed|resident)|max_loaded_models\W{1,3}[2-9]|(?:two|second|another|other|both|multiple|several) (?:\w+ )?models?[^\n.]{0,60}(?:load|memory|vram|resident|same time|at once|running|take turns|switch)|take turns|switch(?:es|ing)? between (?:two |the )?models|loaded second"),
    "told.unused": ("memory of the card stays unused", r"(?:gib|gb|vram|memory)[^\n.]{0,40}(?:stays?|remains?|left|still|is|are) (?:free|unused|available)|(?:leav(?:es|ing)|left) [^\n.]{0,40}(?:gib|gb|vram|memory)[^\n.]{0,40}(?:unused|free|idle)|(?:only|fills only|uses only)[^\n]{0,20}\d+ ?(?:gb|gib)[^\n]{0,30}of|under-?utili[sz]|(?:plenty|lots?|enough) of (?:free )?[^\n.]{0,20}(?:vram|memory)"),
    "told.fits_elsewhere": ("another program holds the same model whole on the same card", r"(?:llama\.cpp|lm studio|koboldcpp|vllm|exllama|text-generation|by hand|manually)[^\n.]{0,60}(?:whole|all\b|fully|entire|everything|fits?|works|fine|faster)"),
    "told.should_fit": ("the reporter expects the model to fit", r"(?:although|but|though|even though|while|should) [^\n.]{0,60}(?:large enough|enough for|should (?:have|fit|be)|would fit|fits?\b|is free|plenty)|should (?:fit|hold)|that fits"),
    "told.loads_slowly": ("loading is what takes long", r"(?:load|reload)(?:s|ed|ing)? (?:the |a |of the |of |each |every )?(?:\w{1,20} )?(?:model )?[^\n.]{0,40}(?:takes? (?:much )?(?:long|minutes|over|\d)|slow|longer|minutes)|takes? [^\n.]{0,30}(?:to load|to start|loading)|slow(?:ly)? (?:to |model |start|in )?load|(?:first|cold)[ -](?:request|prompt|start|call|answer|word|token|response)[^\n.]{0,60}(?:slow|long|seconds|minute|wait)|model load(?:ing)? time|(?:start|open|launch|runn?)(?:s|ing)? (?:the |a |any |each |up )*(?:\w{1,20} )?models?[^\n.]{0,30}(?:takes?|minutes|slow|long)|loads? (?:\w{1,10} ){0,3}(?:with |at |around |about )*\d+(?:\.\d+)? ?mi?b/s"),
    "told.pause": ("the first answer after a pause is the slow one", r"after (?:a |some |each |every |\w{1,20} )?(?:pause|break|idle|inactiv|minutes|while)[^\n.]{0,60}|(?:first|each|next)[^\n.]{0,30}after [^\n.]{0,20}(?:pause|idle|minutes|hour)|(?:nobody|no one|idle|unused|not (?:been )?(?:used|asked|active))[^\n.]{0,40}(?:minutes|hour|while|time)[^\n.]{0,60}(?:next|first|again|slow|load)|(?:then|afterwards|following)[^\n.]{0,30}(?:immediate|fast again|instant)"),
    "told.reloads": ("the model is loaded anew with each request", r"(?:reload|unload)(?:s|ed|ing)?[^\n.]{0,40}(?:each|every|again|between|all the time|constantly|per)|(?:each|every)[^\n.]{0,60}(?:reload|loads? (?:the model|again)|loaded (?:again|anew)|begins with (?:a load|loading|a long silence))|loaded (?:again|anew) (?:each|every|for)"),
    "told.cpu_works": ("the processor does the work", r"(?:cpu|processor|cores?)[^\n.]{0,20}(?:does the work|doing|is used|at (?:\d{2,3} ?%|100)|usage|spikes?|100 ?%)|%cpu\(s\):\s{0,4}(?:[3-9]\d|100)\.\d+ us"),
    "told.gpu_idle": ("the card stays idle", r"(?:gpu|card|vram)[^\n.]{0,30}(?:idle|stays? (?:cold|idle|empty)|at 0 ?%|0 ?% util|not (?:being )?used|unused|no load)|no load on the (?:card|gpu)"),
    "told.one_client": ("one client gets the processor, another client of the same server the card", r"(?:called|from|by|in|with|when using) [^\n.;]{2,60}(?:cpu|ram|split|half|slow)[^\n]{0,60}[;,.] ?(?:but |while |whereas )?[^\n]{0,60}(?:terminal|command[- ]line|curl|cli|another client|ollama run)|(?:one|1) (?:\w{1,20} )?(?:client|application|app|program|front ?end)\b[^\n.]{0,80}(?:cpu|slow|copy|split)|(?:in|from) one \w{1,20} application|(?:command line|terminal|curl|ollama run|cli)[^\n.]{0,30}(?:is fast|fast|on the gpu|works|fine)"),
    "told.cpu_chosen": ("a variant for the processor was chosen", r"profile[s:\s\[\"'-]{1,12}cpu\b|cpu[- ]only (?:image|build|profile|mode|setup|install)|--cpu\b|device[\"']?\s{0,4}[:=]\s{0,4}[\"']?cpu\b"),
    "told.intel_mac": ("a Mac with an Intel processor", r"\bintel[^\n.]{0,25}\bi?mac(?:book\w*|os|s)?\b|\bi?mac(?:book ?(?:pro|air)?|os|s| pro| mini)?\b[^\n.]{0,40}\bintel\b|\bimac (?:20(?:1\d|20)|27)|\bmac ?pro 20(?:13|19)"),
    "told.front_end": ("it is the front end's own work that stays off the card", r"(?:pars(?:e|es|ed|ing)|ocr|chunk\w*|document\w*|embedding\w*|index\w*|transcri\w+|upload\w{0,12})[^\n.]{0,60}(?:gpu|card|cpu)|(?:gpu|card)s?[^\n.]{0,60}(?:while|when|during|for) [^\n.]{0,30}(?:pars|ocr|documents?|index|embedding)"),
    "told.wrong_card": ("the model lands on a card that a setting should hide", r"(?:card|gpu|device)s? (?:that|which) [^\n.]{0,40}(?:should|must) (?:hide|be hidden|exclude|not be used)|ignores? [^\n.]{0,20}visible_devices|(?:all|both|every|other) (?:\w{1,10} )?(?:cards?|gpus?)[^\n.]{0,20}(?:is|are|gets?) (?:still )?used|(?:still )?(?:uses?|utili[sz]es?|loads? (?:on|onto|all)|runs? on) (?:all|both|every) (?:of )?(?:the |my )?(?:cards?|gpus?)|(?:runs?|lands?|loads?|goes)[^\n.]{0,20}(?:on|onto|to) (?:the )?(?:gpu|card) 0|(?:same|first|one) (?:card|gpu)s? (?:is|are|gets?) (?:always|still) (?:used|taken|chosen)|always (?:uses|takes|picks|lands on)[^\n.]{0,30}(?:card|gpu)|whatever [^\n.]{0,20}visible_devices|visible_devices[^\n.]{0,30}(?:has no effect|is ignored|ignored|does nothing|no longer works)|(?:wrong|other|hidden) (?:card|gpu)[^\n.]{0,20}(?:is |gets )?used"),
    "told.native_works": ("outside the container it works", r"(?:nativ\w+|outside (?:of )?(?:docker|the container)|on the host(?: itself)?|bare metal|host (?:still )?sees?)[^\n.]{0,60}(?:work|fast|fine|excellent|gpu|sees|them|ok)"),
    "told.shared_memory": ("part of the model lies in shared GPU memory", r"shared (?:gpu|video|graphics)? ?memory[^\n.]{0,30}(?:\d|used|full|grow|spill)|spill\w{0,12}[^\n.]{0,30}(?:shared|system|host) (?:memory|ram)|sysmem|unified[- ]me(?:mory|\.\.\.)"),
    "told.default_context": ("the default context depends on the card's memory", r"default[^\n]{0,160}context[^\n]{0,160}(?:vram|based on)|context[^\n]{0,160}(?:based on|depends on)[^\n]{0,160}vram"),
    "told.cache_slow": ("it is slow with a quantised cache", r"slow\w{0,12}[^\n.]{0,60}(?:kv|cache|q8_0|q4_0)|(?:kv|cache)[^\n.]{0,60}slow"),
    "told.rootless": ("the engine is rootless or the container unprivileged", r"rootless|unprivileged|podman (?:as|under) (?:a |the )?(?:user|non-root)|userns"),
    "told.lxc": ("the engine runs inside an LXC container", r"\blxc\b|\blxd\b|\bincus\b|proxmox"),
    "told.selinux": ("SELinux is at work", r"selinux|getenforce|enforcing|\bavc\b|fedora|\brhel\b|rocky|almalinux|centos|silverblue|bazzite"),
    "told.podman": ("the engine is Podman", r"\bpodman\b|quadlet"),
    "told.kubernetes": ("it runs in Kubernetes", r"kubernetes|\bk8s\b|\bk3s\b|kubectl|\bpods?\b|helm|daemonset|gpu[- ]operator"),
    "told.no_gpu": ("there is no card in the machine", r"(?:no|without an?|lacks an?|without any) (?:dedicated |discrete |supported |nvidia )?(?:gpu|graphics card)(?: in| at all| server| machine)|(?:without an?|(?:does not|doesn't|do not|don't) have (?:an?|any)|has no|have no|there is no) (?:dedicated|discrete|nvidia|supported) (?:gpu|graphics card|card)|(?:machine|host|laptop|notebook|pc|computer|vm|vps|instance|server|node|\bi) (?:(?:has|have|with|got) no|without an?) (?:gpu|graphics card)s?\b|cpu[- ]only (?:vps|server|machine|host|instance)|\bvps\b"),
    "told.antivirus": ("antivirus software is at work", r"anti-?virus|defender|quarantin|kaspersky|norton|mcafee|avast|bitdefender"),
    "told.moved": ("the program was copied, moved or only partly written", r"(?:mov(?:e|ed|ing)|copied|copy|portable|unzipped|extracted|unpacked)[^\n.]{0,40}(?:folder|drive|director|program|binary|disk)|disk (?:was |is )?full|(?:only|just) the (?:binary|executable)"),
    "told.package": ("it was installed from a distribution's package", r"\bnixos\b|nixpkgs|\bpacman\b|\barch\b|artix|manjaro|cachyos|gentoo|\baur\b|homebrew|\bsnap\b|flatpak|scoop|winget|chocolatey|distribution'?s? package|package manager|ollama-(?:cuda|rocm|vulkan)"),
    "told.built": ("it was built from source", r"(?:built|build|compil\w{1,20})[^\n.]{0,30}(?:from source|myself|ourselves|by hand|own)|(?:package|build|compile)[^\n.]{0,12}ourselves|go build|go generate|\bcmake\b|docker build|self-?built"),
    "told.two_installs": ("two installations are mixed", r"/usr/local/lib/ollama[\s\S]{0,400}/usr/(?:lib|bin)/ollama|-c /usr\b[\s\S]{0,400}install\.sh|install\.sh[\s\S]{0,400}-c /usr\b|cleaning up old version|two (?:ollama )?install|both (?:/usr|a manual)"),
    "told.tcc": ("the card is in TCC mode", r"\btcc\b"),
    "told.wsl1": ("the distribution runs as WSL1", r"\bwsl ?1\b|wsl version 1\b|^\s{0,8}\*?\s{0,8}(?:ubuntu|debian)\S{0,20}\s{1,40}(?:running|stopped)\s{1,40}1\s*$"),
    "told.frequent_stop": ("the card is slowed down", r"throttl|power (?:limit|cap|plan|saving|brake)|thermal|overheat|low(?:er)? clocks?|clock(?:s|speed)? (?:drop|stay|low|stuck)|battery"),
    "told.faulty_card": ("the card computes badly in other programs too", r"(?:other|another|any) (?:program|cuda|software|tool|test)s?[^\n.]{0,40}(?:also|too|as well|same)[^\n.]{0,20}(?:fail|crash|wrong|error|garbage)|(?:also|too) (?:fails|crashes)[^\n.]{0,40}(?:other|cuda|pytorch)|replaced? the (?:card|gpu)|defective|hardware (?:fault|defect)"),
    "told.each_read": ("the digest differs with each try", r"(?:each|every) (?:time|try|pull|attempt)[^\n.]{0,30}(?:different|another)|(?:differ\w{0,12}|different|another|changes)[^\n.]{0,30}(?:digest|hash|sha)[^\n.]{0,30}(?:each|every|time)|(?:digest|hash|sha\w{0,6})[^\n.]{0,40}(?:differ|chang)\w{0,12}[^\n.]{0,20}(?:each|every|time)|overclock|memtest|\becc\b|bad ram"),
    "told.slow_storage": ("the models lie on slow storage", r"\bhdd\b|hard (?:disk|drive)|\bnfs\b|\bsmb\b|\bcifs\b|network (?:drive|share|storage)|\bnas\b|bind mount|/mnt/[a-z]/|\busb\b|\befs\b|s3fs|spinning|slow (?:disk|storage|drive)|ceph|longhorn"),
    "told.page_cache": ("the page cache is counted as used", r"page cache|buff/cache|drop_caches|cached memory"),
    "told.ram_short": ("loading fails for want of system memory", r"system memory[^\n]{0,60}(?:lack|require|insufficient|not enough|fail|available)|(?:lack|want|require\w{0,20}|insufficient|not enough)[^\n]{0,30}(?:system memory|\bram\b)|out of (?:system )?(?:memory|ram)\b"),
    "told.host_plenty": ("the host has memory enough", r"(?:host|machine)[^\n.]{0,30}(?:plenty|enough|\d+ ?g[i]?b)[^\n.]{0,20}(?:memory|ram|free)?|while the host has"),
    "told.same_device_twice": ("cards are chosen by device nodes and by index at once", r"/dev/nvidia[1-9]\b"),
    "told.unified": ("the card shares the machine's memory", r"unified memory|\bapu\b|strix halo|ryzen ai|\bgtt\b|jetson|\borin\b|grace|gb10|dgx spark|shared memory architecture|\bcarveout\b"),
    "told.works_on_host": ("nvidia-smi works on the host", r"nvidia-smi (?:on|from) the host[^\n.]{0,20}(?:works|fine|ok|sees|shows|lists)|on the host,? nvidia-smi[^\n.]{0,20}(?:works|fine|ok|sees|shows|lists)|nvidia-smi[^\n.]{0,40}(?:works?|fine|ok|sees|shows?)[^\n.]{0,20}(?:on the host|in windows|on windows|outside)|(?:host|windows)[^\n.]{0,20}(?:still )?(?:sees|shows)"),
    "told.crash": ("requests end with an error", r"crash|500|error|fails?\b|does not (?:start|answer|load)|cannot (?:be loaded|start|run|load)|no longer starts?|terminated|hang"),
    "told.pull": ("a download fails", r"\bpull(?:ing|s|ed)?\b|download"),
    "told.projector": ("the vision projector stays on the processor", r"(?:projector|mmproj|vision|clip)[^\n.]{0,60}(?:on (?:the )?cpu|cpu|not offloaded)"),
    "told.layer_huge": ("a single layer with its cache takes gigabytes", r"layer size[^\n.]{0,10}\d(?:\.\d)? ?g|no layers? can be loaded"),
    "told.daemon_json": ("daemon.json names the nvidia runtime", r"daemon\.json[\s\S]{0,400}nvidia|nvidia-ctk runtime configure|\"runtimes\"\s{0,4}:\s{0,4}\{[\s\S]{0,80}nvidia"),
    "told.toolkit_updated": ("it began with another release of the container toolkit", r"(?:after|since|with) [^\n.]{0,40}(?:updat|upgrad|install)\w{0,20}[^\n.]{0,40}(?:toolkit|libnvidia-container|nvidia-docker)|(?:toolkit|libnvidia-container\w{0,20}|nvidia-docker2?)[^\n.]{0,20}(?:updat|upgrad|1\.\d+\.\d+|2\.\d+)[^\n.]{0,60}(?:works?|fail|broken|break|no longer)"),
    "told.image_libraries": ("the image holds driver libraries of its own", r"(?:image|docker commit|baked)[^\n.]{0,80}lib(?:cuda|nvidia)|lib(?:cuda|nvidia)[^\n.]{0,60}(?:in|inside|baked|of) the image"),
    "told.mig": ("the card is divided into MIG slices", r"\bmig(?:[- ](?:slice|instance|device|mode|partition|profile)s?)?\b(?! m\.)|\bMIG-[0-9a-f]|\d+g\.\d+gb"),
    "told.no_library": ("the server finds no GPU library", r"(?:can'?t|cannot|does not|doesn't|unable to|not|fails? to) (?:discover|find|detect|load)s?[^\n.]{0,30}(?:gpu|cuda|rocm) (?:librar|backend|runner)|(?:discovers?|finds?|detects?|loads?|lists?) no (?:usable |suitable )?(?:gpu|cuda|rocm) (?:librar|backend|runner)"),
    "told.root_works": ("as root it works", r"(?:as|with|when run(?:ning)? (?:as|by)|under) root[^\n.]{0,40}(?:works?|fine|ok|used|utili[sz]|sees|finds)|works?[^\n.]{0,20}as root"),
    "told.larger": ("the model is larger than the card", r"models? (?:that (?:is|are) |is |are |too )?(?:larger|bigger|too (?:big|large)) (?:than|for) (?:the |my |this |one )?(?:card|gpu|vram)|(?:does not|doesn't|do not|won't|cannot|can't) (?:completely |fully |entirely |all )?fit (?:in|into|on|onto) (?:the |my |this )?(?:card|gpu|vram)"),
    "told.slots": ("several requests at once are what takes the memory", r"(?:parallel|concurrent|simultaneous|num_parallel)[^\n.]{0,60}(?:memory|vram|cpu|slow|fewer|split)|(?:memory|vram|cpu|slow)[^\n.]{0,60}(?:parallel|concurrent|simultaneous|slots?)\b"),
    "told.slow": ("it is slow", r"\bslow|takes? [^\n.]{0,20}(?:long|minutes|seconds)|tokens?/s|\bt/s\b|longer than"),
}
# fmt: on
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE | re.MULTILINE) for name, (_, pattern) in WORDS.items()}


_WRITTEN = frozenset(
    {
        "told.cpu_chosen",
        "told.daemon_json",
        "told.two_installs",
        "told.package",
        "told.wsl1",
        "told.same_device_twice",
        "told.measured",
    }
)
"""What also configurations and listings say."""
_STATED = frozenset({"told.split", "told.on_cpu"})
"""What a question does not say."""
_QUESTION = re.compile(r"[^.,;\n?]{0,300}\?")


def derive(sheet: Sheet) -> Iterator[str]:
    """Note what the texts say in words; yields the names, for tests."""
    prose, written = sheet.reading.words, sheet.reading.raw
    stated = _QUESTION.sub("", prose)
    for name, pattern in _PATTERNS.items():
        match = pattern.search(written if name in _WRITTEN else stated if name in _STATED else prose)
        if match is not None:
            sheet.say(name, True, WORDS[name][0], Quote("text", match[0].strip().split("\n")[0][:160]))
            yield name
