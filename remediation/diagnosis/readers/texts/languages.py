"""Statements of reports in other languages, each given in the English words that the facts know.

A report is no text to translate: what counts is a few dozen statements ("the card is not used", "since the update"). Each
entry has one English sentence and its usual wordings in German, French, Spanish, Portuguese, Italian, Russian, Chinese and Japanese.
"""

# one language a line, so that the table can be read
# fmt: off

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_CARD_DE = r"(?:gpu|grafikkarte|karte)n?"
_CARD_FR = r"(?:gpu|cartes? graphiques?|carte vidéo)"
_CARD_ES = r"(?:gpu|tarjetas? (?:gráficas?|graficas?|de v[ií]deo)|gráfica)"
_CARD_PT = r"(?:gpu|placas? (?:de v[ií]deo|gr[áa]ficas?))"
_CARD_IT = r"(?:gpu|scheda (?:video|grafica))"
_CARD_RU = r"(?:gpu|гпу|видеокарт\w{0,12}|видюх\w{0,12})"
_CARD_ZH = r"(?:gpu|显卡|顯卡|独显|獨顯|显存|顯存)"
_CARD_JA = r"(?:gpu|グラボ|グラフィック(?:ス)?(?:カード|ボード))"

STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "the gpu is not used": (
        rf"{_CARD_DE} (?:\w+ ){{0,4}}(?:nicht|nie|kaum) (?:\w+ ){{0,2}}(?:genutzt|benutzt|verwendet|erkannt|gefunden|angesprochen|ausgelastet)|(?:nutzt|benutzt|verwendet|erkennt|findet|sieht) (?:\w+ ){{0,3}}{_CARD_DE} (?:\w+ ){{0,2}}nicht\b|{_CARD_DE} (?:bleibt|ist|steht)[^\n.]{{0,16}}(?:ungenutzt|unbenutzt|0 ?%)|keine {_CARD_DE}[- ]?(?:auslastung|nutzung|beschleunigung)",
        rf"{_CARD_FR}[^\n.]{{0,20}} (?:n'est|n\u2019est|ne sont|n'était)[^\n.]{{0,12}}(?:pas|jamais|plus)[^\n.]{{0,10}}(?:utilis|détect|reconn|exploit)|n['\u2019]?(?:utilise|e détecte|e reconnaît|e trouve|e voit|est) (?:pas|plus|jamais)[^\n.]{{0,14}}{_CARD_FR}",
        rf"\bno (?:se )?(?:está |esta |me )?(?:usa|usando|utiliza|utilizando|detecta|reconoce|aprovecha|encuentra|ve)\b[^\n.]{{0,16}}{_CARD_ES}|{_CARD_ES} (?:\w+ ){{0,2}}no (?:se |es |está |esta )?(?:usa|utiliza|detecta|reconoce|usada|utilizada|siendo)",
        rf"\bn[ãa]o (?:está |esta )?(?:usa|usando|utiliza|utilizando|detecta|reconhece|encontra)[^\n.]{{0,16}}{_CARD_PT}|{_CARD_PT} (?:\w+ ){{0,2}}n[ãa]o (?:é |está |esta |sendo )?(?:usada|utilizada|detectada|reconhecida|usa)",
        rf"\bnon (?:sta |viene |si )?(?:usa|usando|utilizza|utilizzando|rileva|riconosce|trova|vede)\b[^\n.]{{0,16}}{_CARD_IT}|{_CARD_IT} (?:\w+ ){{0,2}}non (?:viene |è )?(?:usata|utilizzata|rilevata|riconosciuta)",
        rf"не (?:использует|видит|задействует|находит|определяет|грузит|загружает)[^\n.]{{0,20}}{_CARD_RU}|{_CARD_RU}[^\n.,]{{0,16}} (?:не (?:используется|определяется|видна|видит|задействована|работает|загружена|нагружается)|простаивает|спит)",
        rf"(?:没有|沒有|没|不|未|无法|無法|不能|不会)(?:能|再)?(?:被)?(?:正确|正常)?(?:使用|调用|調用|用到|用上|用|识别|識別|检测|檢測|利用|启用)[^\n。\uff0c,]{{0,6}}{_CARD_ZH}|{_CARD_ZH}[^\n。\uff0c,]{{0,8}}(?:没有|沒有|没|不|未|无法|無法)(?:被|能)?(?:使用|调用|調用|用上|利用|工作|识别|識別|检测|占用|启用|动)|找不到{_CARD_ZH}",
        rf"{_CARD_JA}(?:を|が|は)[^\n。]{{0,6}}(?:使わ|使用さ|使用し|使え|利用さ|認識さ|認識し|検出さ|検出)[^\n。]{{0,4}}(?:ない|ません|ず)",
    ),
    "it runs only on the cpu": (
        r"(?:läuft|rechnet|lädt|arbeitet|nutzt|benutzt|verwendet|landet)[^\n.,]{0,24}(?:auf der|auf dem|über die|die|den|nur|mit der) (?:\w{1,12} )?(?:cpu|prozessor)\b|nur (?:die |auf der |auf dem |mit der )?(?:cpu|prozessor)\b",
        r"\b(?:uniquement|seulement|que|tourne|fonctionne|s'exécute|sur) (?:sur )?(?:le |la |mon )?(?:cpu|processeur)\b",
        r"\b(?:s[oó]lo|solamente|[úu]nicamente|todo|corre|funciona|ejecuta|usa|usando|utiliza)[^\n.,]{0,14}(?:en |con |la |el )(?:\w{1,12} )?(?:cpu|procesador)\b",
        r"\b(?:só|somente|apenas|roda|rodando|usa|usando|utiliza)\b[^\n.,]{0,14}(?:na |no |a |o |com )(?:cpu|processador)\b",
        r"\b(?:solo|soltanto|gira|funziona|usa|utilizza)[^\n.,]{0,14}(?:su |sulla |la |il |con )(?:cpu|processore)\b",
        r"(?:только|работает|считает|вычислени\w{1,12}|модел\w{1,12})[^\n.,]{0,24}(?:на|в|через) (?:cpu|цпу|процессоре|процессор)\b|только (?:cpu|процессор)\b",
        r"(?:只|仅|僅|都|全)(?:能|会|在|是)?(?:用|使用|跑|占用|调用|依靠|靠)[^\n。\uff0c,]{0,4}(?:cpu|处理器)|(?:cpu)(?:模式)?(?:运行|跑|推理|在算|计算)|(?:用|使用)(?:的是)?cpu(?:不|而不|\uff0c不|在)",
        r"cpu(?:のみ|だけ|で(?:動作|実行|処理|推論|動い|動く|計算))",
    ),
    "only one gpu is used, the second gpu is not used": (
        rf"nur (?:eine|1|die erste) (?:der |von )?(?:\w{{1,12}} )?{_CARD_DE}[^\n.]{{0,20}}(?:genutzt|benutzt|verwendet|belegt)|zweite {_CARD_DE}[^\n.]{{0,20}}(?:leer|nicht|ungenutzt)",
        rf"(?:une seule|qu'une(?: seule)?) {_CARD_FR}|deuxième {_CARD_FR}[^\n.]{{0,20}}(?:pas|inutilis)",
        rf"(?:s[oó]lo|solamente) (?:usa |utiliza )?una (?:de las )?{_CARD_ES}|segunda {_CARD_ES}[^\n.]{{0,16}}no",
        rf"\b(?:só|apenas|somente) (?:usa |utiliza )?uma (?:das )?{_CARD_PT}|segunda {_CARD_PT}[^\n.]{{0,16}}n[ãa]o",
        rf"(?:solo|soltanto) una {_CARD_IT}",
        rf"только (?:одн\w{{1,12}}|перв\w{{1,12}}) {_CARD_RU}|втор\w{{1,12}} {_CARD_RU}[^\n.]{{0,16}}(?:не|простаивает)",
        rf"(?:只|仅|僅)(?:能|会|在|有)?(?:用|使用|跑|占用|调用)?(?:在)?(?:到)?(?:了)?(?:一|1|单|單|其中一)(?:个|個|张|張|块|塊)?{_CARD_ZH}|(?:单|單)(?:块|塊|张|張|卡){_CARD_ZH}?|{_CARD_ZH}? ?[1-9] ?(?:空闲|没有使用|未使用|闲置)",
        rf"(?:1|一)(?:枚|台|つ)(?:の)?{_CARD_JA}(?:しか|だけ|のみ)",
    ),
    "it is very slow": (
        r"\b(?:sehr |extrem |viel zu )?(?:langsam|träge)\b", r"\b(?:très |trop )?(?:lent|lente|lentement)\b", r"\b(?:muy |demasiado )?(?:lento|lenta)\b",
        r"\b(?:muito )?(?:devagar|lerdo)\b", r"\b(?:molto |troppo )?lentissim\w\b", r"\b(?:очень |слишком )?(?:медленно|тормозит)\b", r"(?:很|非常|太|特别|特別|极|極)慢|速度慢|卡顿", r"遅い|遅く|遅すぎ",
    ),
    "it began after the update of ollama": (
        r"(?:seit|nach) (?:dem |der |einem )?(?:letzten |ollama-?)?(?:update|upgrade|aktualisierung)\b(?! (?:von|des|der) (?:windows|treiber))",
        r"(?:depuis|après) (?:la |une )?(?:dernière )?(?:mise à jour)\b(?! (?:de windows|du pilote|des pilotes))",
        r"(?:desde|después de|tras|luego de) (?:la |una )?(?:última )?(?:actualizaci[óo]n|actualizar)\b(?! (?:de windows|del driver|los drivers))", r"(?:desde|depois|ap[óo]s) (?:d?a |de )?(?:[úu]ltima )?(?:atualiza[çc][ãa]o|atualizar)\b(?! (?:do windows|do driver))",
        r"dopo (?:l'|un )?aggiornamento", r"после (?:последнего )?обновлени\w{1,12}(?! (?:драйвер|windows))", r"(?:更新|升级|升級)(?:了)?(?:ollama|版本|到最新|到新版|后|後|之后)", r"(?:アップデート|更新|バージョンアップ)(?:後|してから|したら)",
    ),
    "it happens after sleep": (
        r"(?:ruhezustand|standby|energiesparmodus|aufwachen|aufgewacht)", r"(?:mise en veille|veille prolongée|sortie de veille|hibernation)", r"(?:suspensi[óo]n|hibernaci[óo]n|modo reposo|despertar)",
        r"(?:suspens[ãa]o|hiberna[çc][ãa]o|modo de espera)", r"(?:sospensione|ibernazione)", r"(?:спящ\w{1,12} режим\w{0,12}|гибернаци\w{1,12}|выхода из сна|после сна)", r"(?:休眠|睡眠|待机|唤醒|喚醒)", r"(?:スリープ|休止状態|スタンバイ)",
    ),
    "after some hours the container loses the gpu": (
        rf"(?:nach|innerhalb) (?:einigen|ein paar|mehreren|wenigen|\d+) (?:stunden|tagen|minuten|zeit)[^\n]{{0,80}}(?:{_CARD_DE}[^\n.]{{0,20}}(?:nicht mehr|verloren|weg)|(?:verliert|findet)[^\n.]{{0,20}}{_CARD_DE})|nach einiger zeit[^\n]{{0,60}}{_CARD_DE}",
        rf"après (?:quelques|plusieurs|\d+) (?:heures|jours|minutes)[^\n]{{0,60}}{_CARD_FR}", rf"(?:después de|tras|al cabo de) (?:unas|algunas|varias|unos|\d+) (?:horas|días|minutos)[^\n]{{0,60}}{_CARD_ES}",
        rf"(?:depois de|ap[óo]s) (?:algumas|v[áa]rias|alguns|\d+) (?:horas|dias|minutos)[^\n]{{0,60}}{_CARD_PT}", rf"через (?:несколько|пару|\d+) (?:час\w{{1,12}}|дн\w{{1,12}}|минут\w{{0,12}})[^\n]{{0,60}}{_CARD_RU}",
        rf"(?:过|運行|运行|用)?(?:了)?(?:一段时间|几个?小时|几天|一天|数小时)(?:后|後|之后)[^\n]{{0,40}}{_CARD_ZH}", rf"(?:数時間|しばらく|数日)[^\n]{{0,30}}{_CARD_JA}",
    ),
    "a part of the model is in ram": (
        r"teil(?:e|weise)?[^\n.]{0,30}(?:im|in den|auf der|in der) (?:ram|arbeitsspeicher|hauptspeicher|cpu)\b", r"(?:une partie|partiellement)[^\n.]{0,30}(?:ram|mémoire système|cpu)\b", r"(?:una parte|parcialmente)[^\n.]{0,30}(?:ram|memoria del sistema|cpu)\b",
        r"(?:uma parte|parcialmente)[^\n.]{0,30}(?:ram|mem[óo]ria do sistema|cpu)\b", r"(?:una parte|parzialmente)[^\n.]{0,24}(?:ram|memoria di sistema)\b", r"част\w{1,12}[^\n.]{0,30}(?:оперативк\w{1,12}|озу|ram|процессор\w{0,12})\b", r"(?:一部分|部分)[^\n。]{0,12}(?:内存|記憶體|cpu)", r"一部[^\n。]{0,12}(?:メモリ|ram|cpu)",
    ),
    "the model is too big for the card": (
        r"(?:passt|passen) nicht (?:ganz |komplett |vollständig )?(?:in|auf) (?:den |die )?(?:vram|gpu|grafikkarte|grafikspeicher|videospeicher)", r"ne (?:tient|rentre) pas (?:\w{1,12} )?(?:dans|en) (?:la |le )?(?:vram|gpu|mémoire vidéo|carte)", r"no cabe (?:\w{1,12} )?en (?:la |el )?(?:vram|gpu|memoria de v[íi]deo|tarjeta)",
        r"n[ãa]o cabe (?:\w{1,12} )?na (?:vram|gpu|placa)", r"non (?:entra|ci sta) (?:\w{1,12} )?n\w{1,12} (?:vram|gpu)", r"не (?:помещается|влезает|умещается) (?:\w{1,12} )?в (?:vram|видеопамять|gpu)", r"(?:显存|顯存)(?:不够|不足|放不下|装不下|太小)|超(?:出|过)(?:了)?(?:显存|顯存)", r"vram(?:に|が)(?:収まら|入りきら|足り|不足)",
    ),
    "loading the model takes minutes": (
        r"(?:laden|ladezeit|lädt)[^\n.]{0,30}(?:minuten|sehr lange|ewig)", r"chargement[^\n.]{0,30}(?:minutes|très long|longtemps)", r"(?:carga|cargar)[^\n.]{0,30}(?:minutos|mucho tiempo)", r"(?:carregar|carregamento)[^\n.]{0,30}(?:minutos|muito tempo|demora)", r"caricamento[^\n.]{0,30}(?:minuti|molto tempo)", r"(?:загружается|загрузка)[^\n.]{0,24}(?:минут|долго)", r"(?:加载|載入)[^\n。]{0,16}(?:分钟|分鐘|很久|很慢|太慢)", r"(?:ロード|読み込み)[^\n。]{0,16}(?:分|遅い|時間)",
    ),
    "the model is reloaded with every request": (
        r"(?:jedes mal|jeder|jede|bei jeder)[^\n.]{0,40}(?:neu |wieder |erneut )(?:geladen|laden|lädt)", r"(?:à chaque|chaque)[^\n.]{0,40}(?:recharg\w{1,12})", r"(?:cada)[^\n.]{0,40}(?:vuelve a cargar|recarga\w{0,12})", r"(?:cada|toda)[^\n.]{0,40}(?:recarrega\w{0,12}|carrega\w{0,12} (?:de novo|novamente))", r"(?:ogni)[^\n.]{0,40}ricaric\w{1,12}", r"(?:кажд\w{1,12}|при каждом)[^\n.]{0,40}(?:перезагруж\w{1,12}|заново загруж\w{1,12})", r"(?:每次|每个请求)[^\n。]{0,20}(?:重新加载|重新載入|重载|都要加载)", r"(?:毎回|リクエストごとに)[^\n。]{0,16}(?:再ロード|再読み込み|ロード)",
    ),
    "not enough system memory": (
        r"nicht genügend (?:arbeitsspeicher|hauptspeicher|speicher (?:frei|vorhanden|verfügbar))", r"mémoire (?:vive |système )?insuffisante", r"memoria (?:ram |del sistema )?insuficiente", r"mem[óo]ria (?:ram |do sistema )?insuficiente", r"memoria (?:ram |di sistema )?insufficiente", r"(?:недостаточно|не хватает) (?:оперативной )?памяти", r"内存不足|記憶體不足", r"メモリ(?:が)?不足",
    ),
}
# fmt: on
_PATTERNS = {said: re.compile("|".join(wordings), re.IGNORECASE) for said, wordings in STATEMENTS.items()}
_OTHER = re.compile(
    r"[äöüßéèêàçñãõáíóúìòù\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff]|\b(?:nicht|grafikkarte|wird|seit|nach dem|der|das|ist|pas|carte|depuis|tarjeta|desde|placa|scheda|dopo|cada|ogni|muy|muito|molto|con|no se|para|el|la|le)\b",
    re.IGNORECASE,
)
"""The cheap test whether a text has words of another language."""
_LONG = 200_000
"""Longer texts are not treated as a person's report."""


def in_english(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a report in another language states, each statement once: in English, and in its own words."""
    if len(text) >= _LONG or _OTHER.search(text) is None:
        return
    for said, pattern in _PATTERNS.items():
        match = pattern.search(text)
        if match is not None:
            yield said, match[0].strip()
