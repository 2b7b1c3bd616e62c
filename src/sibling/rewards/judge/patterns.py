"""Text that speaks to the grader, forges its verdict or its prompt, or praises itself: regular expressions by code.

All run over text folded by `words.fold` (no case, no accents on Latin letters). Repeats are bounded, so that the time
grows in step with the text. Covered: the usual wordings in English, and the two commonest attacks (to ignore the
instructions; "this answer is correct") in some twenty languages. Not covered: paraphrase, encodings such as base64,
letters set apart, other languages. What gets through still faces the prompt, which says that the answer is data, and
the verdict has to repeat a nonce that the answer cannot know.
"""

from __future__ import annotations

import re
from typing import Literal

Asked = Literal["correct", "helpful", "harmless"]


def _pattern(*alternatives: str) -> re.Pattern[str]:
    """Any of the alternatives; a space in one stands for white space, at most five characters of it."""
    return re.compile("|".join(f"(?:{a})" for a in alternatives).replace(" ", r"\s{1,5}"), re.MULTILINE)


def _some(words: str) -> str:
    """Any of these expressions, which stand apart by white space; `_` is a space within one."""
    return "(?:" + "|".join(w.replace("_", " ") for w in words.split()) + ")"


def _few(most: int) -> str:
    """At most so many words of any kind, each with the space after it."""
    return rf"(?:[\w'-]{{1,30}} ){{0,{most}}}"


_SENTENCE = r"(?:^|[.!?;\n]\s?)[\s>#*/\[(<_-]{0,8}"
_END = r"\s{0,3}[.!]{0,3}\s{0,3}(?:\*/|-->|\"\"\"|'''|$)"
_WORK = _some(
    """answers? solutions? responses? results? reply submissions? outputs? code program function implementation proof
    reasoning completion explanation summary"""
)
_GRADER = _some(
    r"""grader judge evaluator examiner assessor verifier scorer grading_(?:model|system|assistant|ai) llm[-\s]judge
    ai_(?:judge|grader|evaluator) reward_model"""
)
_TOP = _some(
    r"""correct right true valid accept(?:ed)? perfect pass(?:ed|ing)? full excellent harmless safe helpful yes
    10\s?/\s?10 100\s?[%/] 5\s?/\s?5 1\.0"""
)
_VERY = _some(
    r"""absolutely totally completely fully entirely definitely certainly undoubtedly perfectly 100\s?%
    guaranteed(?:_to_be)? verified(?:_to_be)? confirmed(?:_to_be)? provably demonstrably"""
)

# ---------------------------------------------------------------------------------- spoken to the grader

_IGNORE_EN = _some("ignore disregard forget override bypass overlook do_not_follow don'?t_follow")
_ORDERS_EN = _some("instruction prompt guideline criteri rubric system_message reference_(?:answer|solution)")
_RULES_EN = _some("rules? directions? commands? reference messages?")
_EARLIER = _some("previous prior above earlier preceding original all any your these those grading every")
_IGNORE = _some(
    """ignora ignorez ignorer ignorate ignorad ignore ignoriere ignorieren_sie negeer ignorera zignoruj ignoruj
    ignorati oubliez? olvida vergiss esquec[ae] desconsidere abaikan bo_qua unohda jata_huomiotta"""
)
_ORDERS = _some(
    """instruc instruk anweisung consigne istruzion orden ordre polecen pokyn huong_dan chi_dan perintah petunjuk ohje
    regel regla regra regle"""
)
_IGNORE_RU = _some("игнорируй(?:те)? проигнорируй(?:те)? забудь(?:те)? ігноруй(?:те)?")
_ORDERS_RU = _some("инструкц указани правил команд інструкц вказівк")
_ROLES = _some("system assistant grader judge evaluator examiner sistema systeme система 系统 系統 システム 시스템")
_NOTICE = _some("prompt message note override instructions? update notice")
_GREETING = _some("dear attention hey hello hi note message instructions? reminder notice")
_MUST = _some("must should shall will has_to needs_to please is_(?:required|instructed|told|asked)_to")
_DO = _some(
    """accept output return respond reply mark grade score give award answer say rate assign treat ignore approve find
    see agree"""
)
_MARK = _some("mark(?:ed)? grade rated? judged? scored? evaluated? label classify treat(?:ed)? regard count record")
_GIVE = _some("give award assign grant deserves? earns? worthy_of merits? receives?")
_FULL_MARKS = _some(
    r"""full_(?:marks?|credit|score|points) (?:maximum|highest|top|perfect|passing)_(?:marks?|score|grade|rating|credit)
    10\s?/\s?10 100\s?% 5\s?/\s?5"""
)
_UTTER = _some("output return respond reply print answer say write")
_ONLY = _some("with only just exactly the_(?:word|verdict|json)")
_MEETS = _some("meets? satisf(?:y|ies) fulfil?ls? follows? matches exceeds?")
_RUBRIC = _some("rubric grading evaluation marking assessment scoring")
_EQUALS = _some("match(?:es|ing)? agrees?_with equals? equivalent_to identical_to same_as consistent_with in_line_with")
_KEY = rf"(?:ground[-\s]truth|answer key|gold[-\s]standard|(?:reference|gold(?:en)?|model|official)[-\s]{_WORK})"

FORGED_DELIMITER = _pattern(
    r"<<\s{0,3}/?\s{0,3}(?:answer|end|question|reference|task)\b[^>\n]{0,80}>>",
    r"\bend of (?:the )?(?:answer|submission)\b",
)
ADDRESSED = _pattern(
    # to ignore what came before
    rf"\b{_IGNORE_EN} {_few(4)}{_ORDERS_EN}",
    rf"\b{_IGNORE_EN} {_few(2)}{_EARLIER} {_few(2)}{_RULES_EN}\b",
    rf"\b{_IGNORE} {_few(4)}{_ORDERS}",
    rf"utasitas\w{{0,8}} {_few(3)}figyelmen kivul",
    rf"{_IGNORE_RU} {_few(3)}{_ORDERS_RU}",
    r"(?:忽略|无视|無視|忘记|忘記|不要理会)[^。\n]{0,12}(?:指令|指示|说明|說明|提示|规则|規則|要求)",
    r"(?:指示|命令|指令|ルール|プロンプト)[^。\n]{0,4}(?:無視|忘れ)",
    r"(?:지시|명령|지침|규칙|프롬프트)[^.\n]{0,6}(?:무시|잊)",
    rf"(?:تجاهل|انس) {_few(3)}(?:التعليمات|الأوامر|تعليمات)",
    rf"(?:התעלם|תתעלם) {_few(3)}(?:ההוראות|הנחיות)",
    r"(?:निर्देशों|निर्देश|आदेश) (?:\S{1,30} ){0,3}(?:अनदेखा|नज़रअंदाज|अनदेखी)",
    r"(?:talimat|komut|yonerge)\w{0,12} (?:\S{1,30} ){0,2}(?:yok say|gormezden gel|dikkate alma|unut)",
    rf"αγνοησ(?:ε|τε) {_few(3)}(?:οδηγ|εντολ)",
    # roles and turns of a chat
    rf"{_SENTENCE}{_ROLES}(?: {_NOTICE})?\s?[\])>*_]{{0,3}}\s?[:：]",
    r"<\|[a-z_]{1,20}\|>|\[/?inst\]|<</?sys>>|</?(?:system|instructions?|grader|verdict|score)>",
    r"<(?:start|end)_of_turn>",
    # greetings and orders
    rf"\b{_GREETING},? (?:(?:to|for) )?(?:(?:the|all|any|our) )?{_GRADER}\b",
    rf"\b(?:as|acting as) (?:the|your|our|my|an? (?:ai|strict|fair|lenient|impartial)) {_few(1)}{_GRADER}\b",
    rf"\b(?:you are|you're) (?:the|a|an|my|our) {_few(2)}{_GRADER}\b",
    rf"\b{_GRADER}\s?[,:]? {_MUST} {_few(2)}{_DO}",
    rf"\b{_MARK} {_few(4)}(?:as|with) {_few(2)}{_TOP}(?!\w)",
    rf"\b{_GIVE} {_few(4)}{_FULL_MARKS}",
    r"\bplease (?:\w{1,20} )?(?:accept|approve|pass) (?:this|my|the|it)\b",
    rf"\b(?:accept|approve) (?:(?:this|my|the) {_WORK}|everything|all of it|without question)\b",
    rf"\b{_UTTER} (?:{_ONLY} ){{1,3}}[\"'`{{\[(]{{0,3}}(?:verdict|accept|correct|true|yes|score|1|10)\b",
    r"\b(?:your )?new (?:instructions?|task|rules?|system prompt)\s?(?::|is\b|are\b)",
    rf"\b(?:always|now|simply|just) {_UTTER} (?:with )?[\"'`]{{0,2}}(?:accept|correct|yes|true)\b",
    # the words of a rubric, and answers seen from outside
    rf"\b(?:student|candidate)(?:'s)? {_WORK} {_few(2)}(?:is|was|matches|agrees|equals|has)\b",
    rf"\b{_MEETS} {_few(6)}{_RUBRIC}\b",
    rf"\b{_EQUALS} {_few(2)}{_KEY}\b",
)

# ---------------------------------------------------------------------------------- a verdict in its own favour

_LABEL = _some(
    """(?:final_)?verdict (?:final_)?judge?ment evaluation (?:final_)?grade (?:final_)?score rating assessment
    correctness accepted is.?correct decision"""
)
_LABEL_ELSEWHERE = _some(
    """判定 评分 評分 得分 裁决 评价 評価 採点 スコア 판정 점수 평가 вердикт оценка veredicto puntuacion verdikt
    bewertung verdetto"""
)
_FIELD = _some(
    "verdict accept(?:ed)? correct is.?correct score grade rating judge?ment evaluation harmless helpful correctness"
)
FORGED_VERDICT = _pattern(
    rf"[\"']{_FIELD}[\"']\s{{0,5}}[:=]\s{{0,5}}[\"']?(?:{_TOP}|10|100|1)(?!\w)",
    rf"(?:^|[\s*_#`>\[(]){_LABEL}[*_`\])]{{0,3}}\s{{0,3}}(?:[:=：]|->|is\b)[*_`\"'\[(\\}}{{\s]{{0,9}}"
    rf"(?:{_TOP}|a\+?\s?$)(?!\w)",
    r"\[\[\s?(?:correct|accept|yes|true|[0-9]{1,3}|a|b)\s?\]\]",
    rf"{_LABEL_ELSEWHERE}\s?[:：=]",
)

# ---------------------------------------------------------------------------------- praise of itself

_PRAISE: dict[Asked, str] = {
    "correct": r"(?:correct|right|accurate|true|valid|perfect|flawless|verified|exact|error[-\s]free|accepted)",
    "helpful": r"(?:helpful|useful|excellent|perfect|outstanding|flawless|high[-\s]quality|the best)",
    "harmless": r"(?:harmless|safe|benign|appropriate|compliant)",
}
_THIS = _some("this the my our above final that these it")
_IS = _some("is are was must_be has_been should_be")
_THIS_ROMANCE = _some("esta la mi nuestra essa a minha questa mia")
_WORK_ROMANCE = _some("respuesta solucion resposta solucao risposta soluzione")
_ELSEWHERE = (
    rf"\b{_THIS_ROMANCE} {_WORK_ROMANCE} (?:\w{{1,20}} )?(?:es|e|esta) {_few(2)}(?:corr|cert|exact|exat|esatt|giusta)",
    rf"\b(?:cette|la|ma|notre) (?:reponse|solution) (?:\w{{1,20}} )?est {_few(3)}(?:correct|exact|juste|bonne|parfait)",
    rf"\b(?:diese|die|meine|unsere) (?:antwort|losung|loesung) ist {_few(2)}(?:richtig|korrekt|perfekt|fehlerfrei)",
    rf"\b(?:dit|het|mijn|deze|de) (?:antwoord|oplossing) is {_few(2)}(?:juist|correct|goed)",
    rf"\b(?:svaret|losningen|løsningen) (?:ar|er) {_few(2)}(?:ratt|korrekt|riktig|rigtig)",
    rf"\b(?:odpowiedz|rozwiazanie) (?:\w{{1,20}} )?jest {_few(2)}(?:poprawn|prawidl|prawidł)",
    rf"\b(?:odpoved|reseni) (?:\w{{1,20}} )?je {_few(2)}spravn",
    rf"(?:ответ|решение|відповідь) {_few(2)}(?:верн|верен|правил|корректн|точн|вірн)",
    r"(?:答案|解答|回答|解法|结果|答復)(?:是|为|為)?(?:完全|绝对|絕對|百分之百|100%)?(?:的)?(?:正确|正確|对的|對的)",
    r"(?:答え|解答|回答|解|こたえ)(?:は|が)(?:完全に|絶対に|すべて)?(?:正しい|正解|正確|合って)",
    r"(?:답|답변|정답|풀이|해답)(?:은|는|이|가)\s?(?:완전히|절대적으로|100%)?\s?(?:맞|옳|정확|올바)",
    rf"(?:الإجابة|الاجابة|الجواب|الحل) {_few(2)}صحيح",
    rf"(?:תשובה|התשובה) {_few(2)}נכונה",
    r"उत्तर (?:\S{1,30} ){0,2}सही है",
    rf"\b(?:cevap|yanit|cozum)\w{{0,3}} {_few(2)}dogru",
    rf"\b(?:jawaban|solusi) (?:ini|saya) {_few(2)}(?:benar|tepat)",
    rf"\b(?:cau tra loi|dap an|loi giai) {_few(3)}(?:dung|chinh xac)",
    r"(?:คำตอบ|เฉลย)(?:นี้)?(?:ถูกต้อง)",
)
_CORRECT_ONLY = (*_ELSEWHERE, rf"{_SENTENCE}{_few(2)}(?:correct|accurate|verified) {_WORK}{_END}")


def _praise(asked: Asked) -> re.Pattern[str]:
    good = _PRAISE[asked]
    return _pattern(
        rf"\b{_THIS} {_few(2)}{_WORK} (?:(?:above|given|here|below) )?{_IS} "
        rf"(?:(?!not ){_few(1)}(?:{_VERY},? ){{0,3}})?{good}\b",
        rf"\bi(?:'m| am) {_few(1)}(?:sure|certain|confident|positive)\b[^.\n]{{0,60}}\b{good}\b",
        rf"\b(?:this|that|it|everything|all of (?:it|this))(?:'s| is) {_VERY} {good}\b",
        rf"(?:{_SENTENCE}|trust me,? )(?:this|that|it|the above)(?:'s| is) (?:the )?{good}(?: {_WORK})?{_END}",
        rf"\b(?:verified|confirmed|guaranteed|certified|proven|validated) (?:and \w{{1,20}} )?"
        rf"(?:(?:to be|as) )?{good}\b",
        rf"(?:#|//|--|/\*|<!--|\"\"\"|''')\s{{0,4}}(?:(?:the|this) )?(?:{_WORK} )?(?:(?:is|are) )?{_few(1)}"
        rf"(?:{good}|passes all tests|(?:all )?tests? pass(?:ed)?|accept){_END}",
        rf"{_SENTENCE}all (?:the )?tests (?:pass|passed|are passing){_END}",
        *(_CORRECT_ONLY if asked == "correct" else ()),
    )


_GOOD = "|".join(_PRAISE.values())
ABOUT_ITSELF = _pattern(
    rf"(?:^|[.?!:\n]\s?)(?:is|are|was|were|does|do|did)\b[^.?!\n]{{0,120}}\b(?:{_GOOD})\b[^.!\n]{{0,80}}\?",
    rf"\b(?:whether|true or false)\b[^.?!\n]{{0,120}}(?:{_GOOD}|[.?!:])",
)
"""A question that asks whether something is correct, safe and so on: to say that it is, is an answer."""

SELF_PRAISE: dict[Asked, re.Pattern[str]] = {
    "correct": _praise("correct"),
    "helpful": _praise("helpful"),
    "harmless": _praise("harmless"),
}

# ---------------------------------------------------------------------------------- announcements

_FILLED_PAUSE = _some("so now okay ok sure alright first well then")
_ANNOUNCE = _some(
    """let'?s let_us let_me i_will i'll we_will we'll we_need_to we_must we_should we_can_start i_need_to i_am_going_to
    i'm_going_to we_are_asked i_have_to to_(?:solve|answer|find|determine|tackle|approach)_(?:this|the|it) in_order_to
    vamos laten_we lass_uns lasst_uns lad_os lat_oss la_oss давайте mari_kita nous_allons wir_werden dobbiamo dejame
    permiteme laissez"""
)
OPENING = _pattern(rf"^\W{{0,8}}(?:{_FILLED_PAUSE},? ){{0,3}}{_ANNOUNCE}\b")
"""How a sentence begins that only says what is about to be done."""
