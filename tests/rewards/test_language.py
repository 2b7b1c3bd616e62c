"""Language consistency on texts written for this test: 12 languages, whole and mixed."""

import itertools
import re

import pytest

from sibling.batch import Status
from sibling.config.rewards import LanguageReward
from sibling.errors import RequestError
from sibling.rewards.detector import main_language
from sibling.rewards.grade import stating
from sibling.rewards.language import Language, share_of
from sibling.tasks.task import Task

TEXTS = {
    "en": (
        "First we count how many apples each child received in the morning. "
        "There were seven children, and every one of them got three. "
        "Wait, I should also include the two apples that fell on the floor. "
        "So the basket must have held twenty-three apples before breakfast. "
        "That looks right to me."
    ),
    "de": (
        "Zuerst zählen wir, wie viele Äpfel jedes Kind am Morgen bekommen hat. "
        "Es waren sieben Kinder, und jedes hat drei erhalten. "
        "Moment, die zwei Äpfel auf dem Boden muss ich auch noch dazurechnen. "
        "Also lagen vor dem Frühstück dreiundzwanzig Äpfel im Korb. "
        "Das scheint mir richtig zu sein."
    ),
    "fr": (
        "On compte d'abord combien de pommes chaque enfant a reçues ce matin. "
        "Il y avait sept enfants et chacun en a eu trois. "
        "Attendez, il faut encore ajouter les deux pommes tombées par terre. "
        "Le panier contenait donc vingt-trois pommes avant le petit déjeuner. "
        "Cela me paraît juste."
    ),
    "es": (
        "Primero contamos cuántas manzanas recibió cada niño por la mañana. "
        "Había siete niños y a cada uno le tocaron tres. "
        "Espera, también debo sumar las dos manzanas que se cayeron al suelo. "
        "Entonces la cesta tenía veintitrés manzanas antes del desayuno. "
        "Me parece correcto."
    ),
    "zh": (
        "我们先数一数早上每个孩子得到了几个苹果。"
        "一共有七个孩子，每人拿到三个。"
        "等一下，还要加上掉在地上的两个苹果。"
        "所以早饭之前篮子里应该有二十三个苹果。"
        "我觉得这样是对的。"
    ),
    "ja": (
        "まず、朝に子どもたちがりんごをいくつもらったか数えます。"
        "子どもは七人いて、一人三つずつもらいました。"
        "待ってください、床に落ちた二つも足す必要があります。"
        "だから朝食の前、かごには二十三個のりんごが入っていました。"
        "これで正しいと思います。"
    ),
    "ru": (
        "Сначала посчитаем, сколько яблок утром получил каждый ребёнок. "
        "Детей было семеро, и каждому досталось по три. "
        "Подожди, надо ещё прибавить два яблока, упавших на пол. "
        "Значит, до завтрака в корзине лежало двадцать три яблока. "
        "По-моему, это верно."
    ),
    "ar": (
        "نحسب أولا عدد التفاحات التي حصل عليها كل طفل في الصباح. "
        "كان هناك سبعة أطفال وأخذ كل واحد منهم ثلاث تفاحات. "
        "مهلا، يجب أن أضيف أيضا التفاحتين اللتين سقطتا على الأرض. "
        "إذن كانت السلة تحتوي على ثلاث وعشرين تفاحة قبل الفطور. "
        "هذا يبدو صحيحا."
    ),
    "ko": (
        "먼저 아침에 아이들이 사과를 몇 개씩 받았는지 세어 봅시다. "
        "아이는 모두 일곱 명이고 한 명당 세 개를 받았습니다. "
        "잠깐, 바닥에 떨어진 사과 두 개도 더해야 합니다. "
        "따라서 아침 식사 전에 바구니에는 사과가 스물세 개 있었습니다. "
        "이것이 맞는 것 같습니다."
    ),
    "hi": (
        "पहले हम गिनते हैं कि सुबह हर बच्चे को कितने सेब मिले। "
        "वहाँ सात बच्चे थे और हर एक को तीन सेब मिले। "
        "रुकिए, ज़मीन पर गिरे दो सेब भी जोड़ने होंगे। "
        "इसलिए नाश्ते से पहले टोकरी में तेईस सेब थे। "
        "मुझे यह सही लगता है।"
    ),
    "it": (
        "Prima contiamo quante mele ha ricevuto ogni bambino stamattina. "
        "C'erano sette bambini e ciascuno ne ha avute tre. "
        "Aspetta, devo aggiungere anche le due mele cadute per terra. "
        "Quindi prima di colazione nel cesto c'erano ventitré mele. "
        "Mi sembra giusto."
    ),
    "pt": (
        "Primeiro contamos quantas maçãs cada criança recebeu de manhã. "
        "Eram sete crianças e cada uma ficou com três. "
        "Espere, também tenho de somar as duas maçãs que caíram no chão. "
        "Portanto, antes do café da manhã havia vinte e três maçãs no cesto. "
        "Parece-me certo."
    ),
}
HELD_OUT = {  # not looked at while the constants were chosen
    "en": (
        "Let the train leave at noon and travel due north. "
        "After two hours it has covered $140$ km, so its speed is 70 km per hour. "
        "The second train starts later. "
        "It needs to close the gap before the bridge. "
        "Therefore we solve for the meeting time and check the units."
    ),
    "de": (
        "Der Zug fährt mittags los und rollt nach Norden. "
        "Nach zwei Stunden hat er $140$ km geschafft, also fährt er 70 km pro Stunde. "
        "Der zweite Zug startet später. "
        "Er muss den Abstand vor der Brücke aufholen. "
        "Deshalb lösen wir nach der Zeit des Treffens auf und prüfen die Einheiten."
    ),
    "fr": (
        "Le train part à midi et roule vers le nord. "
        "Au bout de deux heures il a parcouru $140$ km, sa vitesse est donc de 70 km par heure. "
        "Le second train part plus tard. "
        "Il doit combler l'écart avant le pont. "
        "Nous cherchons donc l'heure de la rencontre et vérifions les unités."
    ),
    "es": (
        "El tren sale a mediodía y viaja hacia el norte. "
        "Tras dos horas ha recorrido $140$ km, así que va a 70 km por hora. "
        "El segundo tren sale más tarde. "
        "Tiene que recortar la distancia antes del puente. "
        "Por eso despejamos la hora del encuentro y revisamos las unidades."
    ),
    "zh": (
        "火车中午出发，一直向北行驶。"
        "两个小时以后走了$140$公里，因此速度是每小时70公里。"
        "第二列火车出发得比较晚。"
        "它必须在到达大桥之前追上来。"
        "所以我们求出相遇的时间，再检查单位。"
    ),
    "ja": (
        "列車は正午に出発して、まっすぐ北へ向かいます。"
        "二時間で$140$キロ進んだので、速さは時速70キロです。"
        "二番目の列車はもっと遅く出ます。"
        "橋に着く前に追いつかなければなりません。"
        "そこで出会う時刻を求めて、単位を確かめます。"
    ),
    "ru": (
        "Поезд отправляется в полдень и идёт на север. "
        "За два часа он прошёл $140$ км, то есть его скорость 70 км в час. "
        "Второй поезд выходит позже. "
        "Ему нужно догнать первый до моста. "
        "Поэтому находим время встречи и проверяем единицы."
    ),
    "ar": (
        "ينطلق القطار ظهرا ويسير نحو الشمال. "
        "بعد ساعتين يكون قد قطع $140$ كيلومترا، فسرعته 70 كيلومترا في الساعة. "
        "يبدأ القطار الثاني لاحقا. "
        "عليه أن يلحق بالأول قبل الجسر. "
        "لذلك نحسب وقت اللقاء ونتحقق من الوحدات."
    ),
}


def sentences(text):
    return [s for s in re.split(r"(?<=[.!?。।])\s*", text) if s]


def task(prompt="How many apples were in the basket?", **columns):
    return Task("id", ({"role": "user", "content": prompt},), None, columns)


@pytest.mark.parametrize("texts", [TEXTS, HELD_OUT])
def test_a_text_is_in_its_language_alone(texts):
    for one, other in itertools.product(texts, repeat=2):
        share = share_of(texts[one], other).share
        assert share == 1 if one == other else share <= 0.1


@pytest.mark.parametrize(("texts", "number"), [(TEXTS, 60), (HELD_OUT, 40)])
def test_sentences_are_recognised(texts, number):
    every = [(language, sentence) for language in texts for sentence in sentences(texts[language])]
    wrong = [sentence for language, sentence in every if main_language(sentence, least_words=2) != language]
    assert len(every) == number and not wrong


@pytest.mark.parametrize("pattern", ["11122", "12121"])
@pytest.mark.parametrize("texts", [TEXTS, HELD_OUT])
def test_the_share_of_a_mixed_text(texts, pattern):
    """Sentences of two languages: the share is what their words make it, for every ordered pair of languages."""
    errors = []
    for one, other in itertools.permutations(texts, 2):
        languages = [one if c == "1" else other for c in pattern]
        picked = [sentences(texts[language])[i] for i, language in enumerate(languages)]
        weights = [share_of(s, language).words for language, s in zip(languages, picked, strict=True)]
        true = sum(w for language, w in zip(languages, weights, strict=True) if language == one) / sum(weights)
        errors.append(abs(true - share_of(" ".join(picked), one).share))
    assert sum(errors) / len(errors) < 0.005 and max(errors) < 0.1


def test_a_change_within_a_sentence_is_seen_roughly():
    """The first half of a sentence in one language, the second half in another: about 0.06 off on average."""
    errors = []
    for one, other in itertools.permutations([code for code in HELD_OUT if code not in ("zh", "ja")], 2):
        for first, second in zip(sentences(HELD_OUT[one]), sentences(HELD_OUT[other]), strict=True):
            start, end = first.split()[: len(first.split()) // 2], second.split()[len(second.split()) // 2 :]
            a, b = share_of(" ".join(start), one).words, share_of(" ".join(end), other).words
            errors.append(abs(a / (a + b) - share_of(" ".join(start + end), one).share))
    assert sum(errors) / len(errors) < 0.15


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (TEXTS["en"], Status.right, "consistent"),
        (f"<think>{TEXTS['zh']}</think>{TEXTS['en']}", Status.wrong, "mixed"),  # the thought counts
        (TEXTS["de"], Status.wrong, "mixed"),
        ("Yes, 42.", Status.abstain, "too_short"),
        ("", Status.abstain, "too_short"),
        ("```\n" + TEXTS["en"] + "\n```", Status.abstain, "too_short"),
        (
            f"We use `schnell` and $und + oder$, see https://beispiel.example/schnell. {TEXTS['en']}",
            Status.right,
            "consistent",
        ),
    ],
)
def test_verdicts(text, status, code):
    verdict = Language(LanguageReward(language="en")).judge(task(), stating(text))
    assert (verdict.status, verdict.code) == (status, code)


def test_the_score_is_the_share():
    half = Language(LanguageReward(language="en", threshold=0.3)).judge(task(), stating(f"{TEXTS['en']} {TEXTS['de']}"))
    assert half.status is Status.right and half.score == pytest.approx(50 / 98, abs=0.02)
    assert Language(LanguageReward(language="en")).judge(task(), stating(TEXTS["de"])).score == 0


def test_the_target_is_the_option_then_the_column_then_the_prompt():
    german, french = "Wie viele Äpfel lagen am Morgen im Korb?", stating(TEXTS["fr"])
    assert Language(LanguageReward(language="fr")).judge(task(german, language="es"), french).score == 1
    assert Language(LanguageReward()).judge(task(german, language="fr-CA"), french).score == 1
    assert Language(LanguageReward()).judge(task(german), french).score == 0
    assert Language(LanguageReward()).judge(task(german), stating(TEXTS["de"])).score == 1
    unnamed = Language(LanguageReward()).judge(task("2+2?"), french)
    assert (unnamed.status, unnamed.code) == (Status.abstain, "no_language")
    unheard = Language(LanguageReward()).judge(task(language="xx"), french)
    assert (unheard.status, unheard.code) == (Status.error, "bad_language")


def test_facts_name_the_detector():
    assert Language(LanguageReward()).facts()["packages"].startswith("py3langid ")


def test_problem_with():
    judge = Language(LanguageReward())
    assert judge.problem_with(task()) is None and judge.problem_with(task("2+2?", language="de")) is None
    assert "too short" in judge.problem_with(task("2+2?")) and "not known" in judge.problem_with(task(language="xx"))
    with pytest.raises(RequestError, match="xx"):
        Language(LanguageReward(language="xx"))


def test_long_texts_are_sampled_evenly():
    long = (TEXTS["en"] + " ") * 100 + (TEXTS["de"] + " ") * 100
    assert share_of(long, "en").share == pytest.approx(0.5, abs=0.05)
    assert share_of(long, "en") == share_of(long, "en")


@pytest.mark.parametrize(
    "text",
    ["<think>" * 5000 + "a" + "</think>" * 4999, r"\boxed{" * 20_000, "<a href='x'>" * 4000, "</answer>" * 9001],
)
def test_marks_cut_in_pieces_are_no_words(text):
    assert share_of(text, "en").words == 0
    verdict = Language(LanguageReward(language="en")).judge(task(), stating(text))
    assert (verdict.status, verdict.code) == (Status.abstain, "too_short")


@pytest.mark.parametrize(
    "text", ["a" * 100_000_000, "\x00" * 20_000, "\ud800 abc", "的" * 20_000, "Aa.Bb " * 3300, "{" * 20_000]
)
def test_hostile_texts_are_bounded(text):
    assert Language(LanguageReward(language="en")).judge(task(), stating(text)).status is not Status.right
