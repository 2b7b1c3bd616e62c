"""Lists of words, as they are written; `words` folds and uses them.

FILLERS open, announce, praise or stall (scripts with spaces); PHRASES do the same where no spaces part the words.
Words with a meaning of their own that may well be an answer (yes, no, true, none, colours, directions) are left out on
purpose. NUMBERS are whole words and STEMS parts of words for numbers; they are complete enough to tell a text without
any number from one that may hold one, not to read a number.
"""

FILLERS = """
a about above all am an analysis analyze and answer answered answering answers approach are as at be been begin
below breakdown breaking by calculate calculation can carefully chain complete computation conclude conclusion
consider correct correctly could deduction derivation derive detail detailed details determine do done down each
evaluate evaluation examine exercise explain explanation final finally find first firstly follow following
follows for found from full fully get give given giving go going has have having help here hence how i idea if
im in into is it its know lead leads let lets like logic look looking m make may me method might must my myself
need needed needs next note now obtain of ok okay on order our out output outline perfect perfectly please
problem procedure proceed process prompt proof prove provide provided query question re read reason reasoned
reasoning reasons reflect reflection refer reply request resolve resolution respond response result results
review s see shall should show simple simply so solution solutions solve solved solves solving some start
started starting state statement step steps stepwise strategy sum summary summarize sure systematically take
task tell that the their them then therefore these thing things think thinking this those thought thoughts
through thus to together try turn understand understanding up us use using ve verification verified verify walk
was way we well what when where which will with work working works would write you your accurate accurately
accepted accept pass passed passes valid certainly course great happy sir madam hello hi dear el la los las un
una unos unas de del al y o en por para con que se lo su mi nuestro este esta esto ese esa problema pregunta
respuesta solucion solucionar resolver resolvamos resolveremos resuelvo vamos paso pasos pensamiento pensemos
pensar proceso razonamiento razonar explicacion explicar analisis primero siguiente es son aqui ahora
necesitamos debemos hay como veamos procedimiento planteamiento desarrollo correcto correcta continuacion tanto
detallada detallado entender le les des du et ou dans pour avec ce cet cette ces ceci cela notre mon ma probleme
exercice reponse repondre resoudre resolvons etape etapes pensee reflexion reflechissons processus raisonnement
raisonner explication analyse demarche commencons commencer par allons nous je il faut voici donc est sont d l c
qu correcte finale abord maintenant conclure resultat der die das den dem ein eine einen einem einer und oder zu
zum zur von mit fur auf ist sind wir ich lass lasst lassen uns mich dieses diese dieser diesen aufgabe frage
antwort antworten losung losen loesung loesen schritt schritte schrittweise gedanke gedanken gedankengang
denkprozess denken uberlegung uberlegungen begrundung erklarung ansatz vorgehen rechnung rechnen zuerst zunachst
nun also folgt lautet hier korrekt endgultige ergebnis nach muss mussen gli uno di della dei e per questo questa
questi nostro domanda risposta soluzione risolvere risolviamo passo passi passaggio passaggi pensiero pensiamo
processo ragionamento ragionare spiegazione analisi svolgimento procedimento iniziamo ecco quindi sono abbiamo
dobbiamo corretta corretto risultato conclusione os um uma umas dos na nos nas em com isto esse essa isso nosso
pergunta questao resposta solucao resolucao passos etapa etapas pensamento raciocinio explicacao analise agora
precisamos correta correto resultado conclusao sao het een op voor met van te zijn wij ik laten laat ons dit
deze probleem opgave vraag antwoord oplossing oplossen stap stappen stapsgewijs gedachte gedachten denkproces
redenering uitleg uitwerking eerst nu dus juist uiteindelijke resultaat conclusie gedachtegang och att det ett
ar vi jag lat oss losa detta denna problemet uppgift fraga svar losning losningen steg tankeprocess tanke
tankegang resonemang forklaring analys forst har ratt slutligt svaret og er jeg lad lose løse denne dette
oppgave oppgaven opgaven sporsmal spørgsmål løsning løsningen trin skridt trinn tankeproces tankeprosess
begrundelse begrunnelse først nå her riktig rigtigt ratkaisu ratkaistaan ratkaise tama ongelma tehtava vaihe
vaiheelta vaiheittain askel askeleelta kerrallaan ajatusprosessi ajatteluprosessi ajatus paattely selitys
analyysi vastaus kysymys oikein lopullinen ensin nyt siis perustelu jest ten ta tego w z oraz dla sie nam
rozwiazmy rozwiążmy rozwiazac rozwiązać rozwiązanie rozwiazanie zadanie pytanie odpowiedz odpowiedź krok kroku
kroki proces myslowy myślowy myslenia myślenia rozumowanie wyjasnienie wyjaśnienie analiza pomyslmy pomyślmy
najpierw teraz zatem wiec więc oto poprawna poprawne koncowa końcowa wynik po tento tuto reseni řešení resme
řešme vyresme vyřešme vyresit vyřešit problém uloha úloha otazka odpoved krokem kroky myslenkovy pochod uvaha
vysvetleni vysvětlení analyza nejprve nyni nyní tedy zde spravna správná vysledek výsledek solutia solutie
soluția rezolvare rezolvarea rezolvam să sa rezolvăm aceasta această problemă pas cu pasi pași raspuns răspuns
raspunsul procesul gandire gândire rationament raționament explicatie explicație sunt corect corecta intrebare
acest az egy ez ezt megoldas megoldása oldjuk meg feladat feladatot problemat lepes lépésről lépésre lepesrol
lepesre gondolatmenet gondolkodas gondolkodasi folyamat magyarazat elemzes valasz kerdes indoklas helyes vegso
eloszor nezzuk tehat cozum çözüm cozelim çözelim cozumu çözümü bu problemi soru soruyu sorunu sorun cevap yanit
yanıt adim adım dusunce düşünce sureci süreci dusunelim düşünelim aciklama açıklama analiz akil akıl yurutme
yürütme muhakeme dogru doğru sonuc sonuç bir ile icin için once önce simdi şimdi giai giải loi lời bai bài toan
toán nay này hãy chung chúng tung từng buoc bước vấn đề qua quá trinh trình suy nghi nghĩ luan luận tra dap đáp
án thich thích phan phân tich tích là cau câu hoi hỏi cach cách theo solusi jawaban penyelesaian mari kita
selesaikan memecahkan masalah soal ini langkah demi proses berpikir pemikiran penalaran penjelasan pembahasan
pertanyaan adalah yang dan benar akhir pertama secara решение решения решим решить решаем давайте давай эту эта
этот это задачу задача задачи проблему проблема вопрос ответ ответа шаг шагом шага шаги за по пошагово процесс
мышления мысли мыслей ход размышление размышления размышлений рассуждение рассуждения рассуждений объяснение
пояснение анализ подумаем сначала теперь итак вот и в на с к для мы я нам нужно следует правильный правильно
верно верный окончательный результат следующий наш рішення розвязок розв язок розв'яжемо розвяжемо вирішимо цю
ця це завдання питання відповідь крок кроком процес мислення думки міркування пояснення аналіз спочатку тепер
отже ось ми правильна хід η ο το οι τα του της των και σε με για να ας αυτο αυτό λύση λυση λύσουμε λυσουμε
πρόβλημα προβλημα ερώτηση απάντηση απαντηση βήμα βημα προς διαδικασία διαδικασια σκέψης σκεψης σκέψη συλλογισμός
εξήγηση ανάλυση αναλυση είναι ειναι σωστή σωστό τελική الحل حل لنحل دعنا دعونا نحل هذه هذا المسألة المشكلة
السؤال الجواب الإجابة الاجابة خطوة بخطوة خطوات عملية التفكير تفكير التحليل تحليل الشرح شرح التفسير هو هي في من
على إلى أن النهائية النهائي أولا صحيح صحيحة פתרון הפתרון נפתור בואו לפתור את הבעיה בעיה השאלה תשובה התשובה צעד
אחר אחרי שלב שלבים תהליך חשיבה החשיבה מחשבה הסבר ניתוח הנימוק זו זה הוא היא נכונה נכון הסופית समाधान हल उत्तर
चलिए आइए इस समस्या को प्रश्न का की के कदम दर चरण विचार प्रक्रिया सोच व्याख्या विश्लेषण तर्क करें करते हैं है हम
में से और यह सही अंतिम break tackle alright understood clear clearly thank thanks question's work's attempt
overview general beginning final-answer logically methodically systematic approaching solver deeply response:
responses compute dopo za rozv яжемо язати обчислимо рассмотрим разберем разберём начнем начнём найти найдем
найдём надо чтобы nejdriv nejdříve postup vypocet výpočet rozbor obliczenia obliczmy zacznijmy zastanowmy
zastanówmy się comencemos empecemos calculemos analicemos encontrar hallar solucionemos explicaremos comecemos
analisemos calculons analysons trouver trouvons beginnen wir's berechnen berechnung bestimmen finden analysieren
calcoliamo analizziamo trovare trovar rozumowania aby berekenen berekening vinden lad's beräkna berakna finne
finde beregne laske lasketaan hesaplayalım hesaplayalim inceleyelim bulalım bulalim baslayalim başlayalım
kiszamitjuk kiszámítjuk kezdjuk kezdjük calculam calculăm gasim găsim ta's tim tìm bat bắt dau đầu tinh tính
hitung menghitung mencari jawab menjawab mulai dengan υπολογίσουμε βρούμε αρχίσουμε εξετάσουμε الحساب نبدأ لنبدأ
لنفكر نفكر فكر ונתחיל נתחיל נחשב करेंगे शुरू गणना सोचते सोचें obvious obviously derived easily easy trivial
trivially shown analyzing analysing information addresses addressing qed quod erat demonstrandum don t dont
honestly double checked checking proceeding reads reading figure wait hmm hm uh let's обосновка решението
задачата отговор отговорът стъпка решење одговор مسئله پاسخ راه گام به جواب সমাধান উত্তর ধাপে তীর தீர்வு பதில்
படி suluhisho jibu hatua kwa lahendus vastus samm sammult sprendimas atsakymas zingsnis risinajums atbilde solis
pa solim rjesenje resenje odgovor korak resitev riesenie zgjidhja pergjigja hap lausn skref fyrir solucio
soluzioa erantzuna solusyon sagot hakbang jawapan పరిష్కారం సమాధానం उपाय ამოხსნა პასუხი լուծում պատասխան шешім
шешуі жауап επίλυση απόδειξη הוכחה lahendame rijesimo resimo vyriesme poskusimo preuve preuves demostracion
dimostrazione demonstracao beweis bewijs bevis dowod dukaz доказательство доказ dokaz kanit ispat bukti minh
prueba asked asks wants want told
"""

PHRASES = """
让我们 讓我們 我们 我們 我来 我 来 來 一步一步地 一步一步 一步步地 一步步 逐步地 逐步 逐步解决 步骤 步驟 步 解决
解決 解答 解题 解題 解析 解释 解釋 解法 解 这个 這個 此 这道 這道 该 該 问题 問題 题目 題目 题 題 答案 答复 答
回答 最终 最終 最后 最後 思考过程 思考過程 思考 思路 思维 思維 推理 推理过程 过程 過程 分析 详细 詳細 说明 說明
证明 證明 首先 接下来 然后 如下 所示 以下 下面 是 为 為 的 地 得 了 在 请 請 好的 好 正确 正確 结论 結論 结果
結果 因此 所以 需要 要 先 仔细 吧 看看 想 想想 一下 计算 計算 かいせつ 解説 かいとう こたえ 答え しこうかてい
思考プロセス プロセス 考え方 考え 考えて 推論 かいほう ステップバイステップ ステップ 一歩一歩 一歩ずつ 段階的に
段階 順を追って 順番に この もんだい を と は が の に で も へ まず 次に では それでは さあ 一緒に 解いて
解きましょう 解こう 解き 解く いきましょう みましょう みます いきます しましょう します しよう ましょう ます
です ください 最終的な 通り とおり 説明 証明 正しい 正解 풀이과정 풀이 해설 해답 정답 답변 답 해결책 해결해 해결
사고과정 사고 생각 과정 추론 설명 분석 증명 결론 단계별로 단계별 단계적으로 단계 차근차근 문제 질문 이 그 저 를
을 은 는 가 의 에 로 으로 하나씩 한 풀어봅시다 풀어보겠습니다 풀어 풀 봅시다 보겠습니다 보자 합시다 하겠습니다
해보자 우리 먼저 최종 다음과 같습니다 같이 입니다 이다 맞는 วิธีทำ วิธี เฉลย คำตอบ ตอบ คือ มา แก้ ปัญหา นี้
ทีละขั้นตอน ทีละ ขั้นตอน ขั้น กระบวนการ คิด ความคิด การคิด กัน การ อธิบาย คำอธิบาย วิเคราะห์ เหตุผล โจทย์ ข้อ
เรา ให้ ของ ที่ เป็น และ ทำ ที ละ แนวคิด ถูกต้อง 解決策 解決方法 理解 方法 第一步 手順 導出 推导 推導 考察 論証
방법 해결과정
"""

NUMBERS = """
one two six ten zero half nil both pair once twice uno una dos tres seis diez cero un une deux dix ein eins zwei
drei elf null halb due tre sei otto um dois duas dez een twee drie vier zes acht tien nul en ett tva sex atta
tio noll to seks ti yksi kaksi nolla dwa dwie trzy piec osiem dva tri pet sest osm nula doi trei cinci sase opt
zece egy ket harom ot hat het nyolc tiz bir iki uc dort bes alti yedi sekiz dokuz on sifir mot hai ba bon nam
sau bay tam chin muoi khong satu dua tiga lima enam nol один одна одно два две три пять шесть семь ноль сто двa
дві шість сім нуль ενα δυο τρια εξι δεκα μηδεν واحد اثنان ثلاثة صفر אחד שתיים שלוש אפס एक दो तीन चार पांच छह सात
आठ नौ दस शून्य
"""

STEMS = """
zero three four five seven eight nine eleven twel teen twent thirt fort fift sixt sevent ninet hundred thousand
million billion third quarter dozen half double triple single infinit cuatro cinco siete ocho nueve once doce
trece catorce quince veint treint cuarent cincuent sesent setent ochent novent cien mil doscient quatre cinq
sept huit neuf onze douze treize quator quinze seize vingt trent quarant cinquant soixant cent mille vier funf
sechs sieben acht neun zehn zwolf zwanzig dreissig hundert tausend quattro cinque sette nove dieci undici dodici
venti cento quatro sete oito vint trint sessent vijf zeven negen twintig honderd duizend fyra fem sju nio elva
tolv tjugo hundra tusen fire syv otte neli nelj viisi kuusi seitse kahdeksan yhdeksan kymmen sata cztery szesc siedem
dziewi dziesi jedena dwana dwadzie ctyri sedm devet deset patru sapte noua douaz negy kilenc szaz ezer yirmi
otuz kirk elli altmis yetmis seksen doksan yuz empat tujuh delapan sembilan puluh ratus ribu четыр шест восем
девят десят надцат двадцат тридцат сорок пятьдес тысяч миллион половин чотир вісім дев σαρα πεντε επτα οκτω
εννεα εικοσι τριαντα εκατο أربع خمس ست سبع ثمان تسع عشر مئة ארבע חמש שש שבע שמונה תשע עשר מאה बीस तीस चालीस पचास
सौ हजार 하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열 스물 백 천 หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า สิบ ร้อย
ひと ふた みっ よん いつ ゼロ
"""
