"""What an Omni model says besides the transcript: what is taken off, and what is left."""

from __future__ import annotations

import pytest

from asrcli.providers.qwen.omni_talk import Heard, hear, without_emotion
from asrcli.providers.qwen.repetition import find_loop

SPOKEN = "Good morning, and welcome."


def heard(
    text: str, *, emotion: bool = False, duration: float | None = 20.0, cut: bool = False
) -> Heard:
    return hear(text, emotion=emotion, duration=duration, cut=cut)


# --- announcements ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        "Sure! Here is the transcript of the audio:\n\n",
        "Here's the verbatim transcription of the audio you provided:\n",
        "Certainly! Below is the full transcript of the provided audio file:\n\n",
        "The transcription of this recording is as follows:\n",
        "**Transcript:**\n",
        "Transcription:\n\n",
        "以下是音频的转写内容：\n",
        "好的，以下是您提供的音频文件的逐字转录：\n\n",
        "音频转写结果如下：\n",
        "Gerne! Hier ist die wörtliche Transkription der Aufnahme:\n\n",
        "Voici la transcription mot à mot de l'audio :\n\n",
        "Claro, aquí está la transcripción literal del audio:\n",
        "Claro! Aqui está a transcrição do áudio:\n\n",
        "Ecco la trascrizione dell'audio:\n",
        "Конечно! Вот дословная расшифровка аудиозаписи:\n\n",
        "以下は、音声の文字起こしです：\n",
        "다음은 오디오의 전사 내용입니다:\n",
    ],
)
def test_an_announcement_on_a_line_of_its_own_is_taken_off_and_told(before: str) -> None:
    found = heard(before + SPOKEN)

    assert found.text == SPOKEN
    (warning,) = found.warnings
    assert before.strip() in warning


@pytest.mark.parametrize(
    "speech",
    [
        "Here is the transcript of my life: I was born, and I sang.",
        "Here is the transcript of the trial:\nThe court rises.",
        "Sure, here is what he said:\nI will not go.",
        "The following is a true story:\nOnce there was a man.",
        "This is the recording of the year: everybody loves it.",
        "Here is the text of the treaty:\nArticle one.",
        "以下是我的看法：\n我们应该等。",
        "Hier ist die Transkription meiner Rede:\nLiebe Freunde.",
        "Voici la liste:\nDu pain.",
        "Transcripts are boring: nobody reads them.",
    ],
)
def test_speech_that_begins_like_an_announcement_is_left(speech: str) -> None:
    assert heard(speech) == Heard(speech)


@pytest.mark.parametrize(
    "doubtful",
    [
        "Here is the transcript of the recording: the witness said no.",
        "Transcription: the process of writing down.",
        "Hier ist die Abschrift: bitte unterschreiben.",
    ],
)
def test_an_announcement_within_a_line_is_left_with_a_warning(doubtful: str) -> None:
    found = heard(doubtful)

    assert found.text == doubtful
    assert "begins as if the model announced it" in "".join(found.warnings)


def test_an_announcement_before_a_quoted_text_is_taken_off_within_the_line_too() -> None:
    found = heard(f'Here is the transcript: "{SPOKEN}"')

    assert found.text == SPOKEN
    assert "“Here is the transcript:”" in "".join(found.warnings)


@pytest.mark.parametrize(
    "after",
    [
        "Let me know if you need anything else!",
        "如果您需要其他帮助，请告诉我。",
        "N'hésitez pas à demander.",
    ],
)
def test_an_offer_of_help_below_an_announced_text_is_taken_off(after: str) -> None:
    announced = heard(f'Here is the transcript:\n\n"{SPOKEN}"\n\n{after}')
    alone = heard(f"{SPOKEN}\n\n{after}")

    assert announced.text == SPOKEN
    assert after in announced.warnings[-1]
    assert alone.text == f"{SPOKEN}\n\n{after}"


@pytest.mark.parametrize("frame", ['"{}"', "“{}”", "「{}」", "«{}»", "„{}“"])
def test_quotation_marks_around_the_whole_are_taken_off(frame: str) -> None:
    found = heard(frame.format(SPOKEN))

    assert found.text == SPOKEN
    assert "quotation marks" in "".join(found.warnings)


@pytest.mark.parametrize(
    "speech", ['"Yes," he said, "and no."', "'Tis the season", 'She said "no"']
)
def test_quotation_marks_within_a_text_are_left(speech: str) -> None:
    assert heard(speech) == Heard(speech)


@pytest.mark.parametrize("text", [f"```\n{SPOKEN}\n```", f"<think>hm: so</think>\n{SPOKEN}"])
def test_fences_and_thoughts_are_taken_off(text: str) -> None:
    assert heard(text) == Heard(SPOKEN)


# --- in place of a transcript -----------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        "I'm sorry, but I can't listen to audio. Could you type it out instead?",
        "As an AI language model, I cannot transcribe recordings.",
        "I am unable to process audio files directly. Please provide a transcript.",
        "Sorry, I'm not able to transcribe audio.",
        "抱歉，我无法直接处理音频文件。",
        "作为一个人工智能语言模型，我不能收听音频。",
        "Als KI-Modell kann ich diese Aufnahme nicht anhören.",
        "Es tut mir leid, ich kann keine Audiodateien verarbeiten.",
        "Je ne peux pas écouter des fichiers audio.",
        "Como modelo de lenguaje, no puedo escuchar esto.",
        "Извините, я не могу прослушивать аудиофайлы.",
        "申し訳ありませんが、音声ファイルを聞くことはできません。",
        "죄송합니다. 오디오 파일을 들을 수 없습니다.",
    ],
)
def test_a_refusal_that_only_a_program_utters_is_none_of_the_speech(refusal: str) -> None:
    found = heard(refusal)

    assert (found.text, found.refusal) == ("", refusal)


@pytest.mark.parametrize(
    "speech",
    [
        "Sorry, I cannot come tomorrow.",
        "I'm sorry, I can't hear you. Could you unmute?",
        "I can't listen to music while I work.",
        "Unfortunately we cannot ship before Monday.",
        "As an AI researcher I do not worry.",
        "I cannot process that he is gone.",
        "抱歉，我明天不能来。",
        "我听不到声音，你能大声一点吗？",
        "Es tut mir leid, ich kann morgen nicht kommen.",
        "Désolé, je ne peux pas venir.",
        "Lo siento, no puedo ir.",
        "Извините, я не могу прийти.",
        "すみません、明日は行けません。",
        "죄송합니다. 내일은 갈 수 없습니다.",
    ],
)
def test_what_people_say_when_they_decline_is_speech(speech: str) -> None:
    found = heard(speech)

    assert found.text == speech
    assert not found.refusal
    if "process" not in speech:
        assert found.warnings == []


@pytest.mark.parametrize(
    "speech",
    [
        "I'm sorry, but I can't assist with that.",
        "I'm sorry, sir, I cannot help you with this.",
        "对不起，我无法提供帮助。",
        "Es tut mir leid, dabei kann ich Ihnen nicht helfen.",
        "Lo siento, no puedo ayudarte.",
    ],
)
def test_a_refusal_that_people_utter_too_is_left_with_a_warning(speech: str) -> None:
    found = heard(speech)

    assert found.text == speech
    assert "as if the model had declined" in "".join(found.warnings)


def test_a_doubtful_refusal_too_long_for_the_recording_is_none_of_the_speech() -> None:
    refusal = "I'm sorry, but I can't assist with that request. Please ask for something else."

    assert heard(refusal, duration=0.8).refusal == refusal


def test_a_refusal_within_a_longer_talk_is_speech() -> None:
    talk = "As an AI language model, I cannot feel. That is what it told me. " * 7

    assert heard(talk, duration=60).text == talk.strip()


@pytest.mark.parametrize(
    "silence",
    [
        "[no speech]",
        "(silence)",
        "[Music] [Applause]",
        "【无语音】",
        "*inaudible*",
        "♪♪",
        "There is no speech in this audio.",
        "The audio contains no discernible speech.",
        "No speech was detected in the recording.",
        "这段音频中没有人声。",
        "Die Aufnahme enthält keine Sprache.",
        "L'audio ne contient aucune parole.",
        "El audio no contiene voz.",
        "В аудиозаписи нет речи.",
    ],
)
def test_a_description_of_silence_is_an_empty_transcript(silence: str) -> None:
    found = heard(silence)

    assert found.text == ""
    assert silence in "".join(found.warnings)


@pytest.mark.parametrize(
    "speech",
    [
        "No speech.",
        "Silence!",
        "There is no speech in my name.",
        "[Applause] Thank you.",
        "(Hello.)",
    ],
)
def test_words_about_silence_are_speech(speech: str) -> None:
    assert heard(speech) == Heard(speech)


def test_nothing_at_all_is_an_empty_transcript() -> None:
    assert heard(" \n", emotion=True) == Heard("")


# --- emotion ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "\nemotion: happy",
        "\n\n**Emotion:** Happy.",
        "\nEmotion：happy",
        " emotion: happy",
        "\n- emotion: `happy`",
    ],
)
def test_the_emotion_is_taken_from_the_end(line: str) -> None:
    assert heard(SPOKEN + line, emotion=True) == Heard(SPOKEN, "happy")


def test_an_emotion_is_only_read_if_it_was_asked_for() -> None:
    assert heard(f"{SPOKEN}\nemotion: happy").text == f"{SPOKEN}\nemotion: happy"


@pytest.mark.parametrize("line", ["emotion: excited", "情绪：开心", "Émotion : joie"])
def test_an_emotion_that_was_not_offered_is_no_emotion(line: str) -> None:
    found = heard(f"{SPOKEN}\n{line}", emotion=True)

    assert (found.text, found.emotion) == (SPOKEN, None)
    assert "not offered" in "".join(found.warnings)


def test_a_missing_emotion_is_told() -> None:
    found = heard(f"She felt an emotion: happy or sad? {SPOKEN}", emotion=True)

    assert found.emotion is None
    assert found.warnings == ["the model named no emotion"]


def test_an_emotion_without_speech_is_an_empty_transcript() -> None:
    assert heard("emotion: neutral", emotion=True).text == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Good.\ne", "Good."),
        ("Good.\nemotion", "Good."),
        ("Good.\nEmotion: ha", "Good."),
        ("Good.\nevening", "Good.\nevening"),
        ("emo", "emo"),
    ],
)
def test_a_growing_text_is_shown_without_the_line_of_the_emotion(text: str, shown: str) -> None:
    assert without_emotion(text) == shown


# --- repetition and length --------------------------------------------------------------------


def test_a_loop_of_a_text_that_was_cut_is_cut_off() -> None:
    found = heard("We went home and then" + " and then we slept" * 60, cut=True, duration=600)

    assert found.text == "We went home and then and then we slept"
    assert "60 times" in "".join(found.warnings)


def test_a_loop_that_nobody_has_the_time_to_say_is_cut_off() -> None:
    found = heard("你好。" + "谢谢大家。" * 80, duration=10)

    assert found.text == "你好。谢谢大家。"


def test_a_loop_that_ends_within_a_word_keeps_a_whole_round() -> None:
    found = heard("Start. " + "one two three " * 20 + "one tw", cut=True, duration=600)

    assert found.text.startswith("Start. one two three")
    assert len(found.text) < 40
    assert found.text.endswith("two")


@pytest.mark.parametrize("song", ["la " * 30, "We will rock you. " * 12, "no " * 20 + "never"])
def test_what_can_be_sung_is_left(song: str) -> None:
    assert heard(song.strip(), duration=60).text == song.strip()


@pytest.mark.parametrize("text", ["ha ha ha ha", "-" * 200, "ok " * 7, "", "aaaa"])
def test_short_repetitions_are_no_loops(text: str) -> None:
    assert find_loop(text) is None


def test_a_loop_is_found_in_a_long_text() -> None:
    text = "word " * 400_000

    loop = find_loop(text)

    assert loop is not None
    assert (loop.unit, loop.count, loop.end) == ("word", 399_999, 9)
    assert find_loop(text + "x") is None


def test_more_text_than_there_is_time_for_is_told() -> None:
    speech = "One two three four five six seven eight nine ten eleven twelve and so on. " * 3

    assert "longer than what can be said" in "".join(heard(speech, duration=2).warnings)
    assert heard(speech, duration=20).warnings == []
    assert heard(speech, duration=None).warnings == []
