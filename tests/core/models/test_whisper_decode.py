"""Greedy decoding writes what `generate` writes, and no more than the audio allows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper.tokenizer import get_tokenizer

from jobrunner.catalog import languages
from jobrunner.core.models import whisper
from jobrunner.core.models.whisper import Whisper
from jobrunner.core.models.whisper_decode import Heard, greedy, token_rate
from tests import builders
from tests.harness.paths import ROOT
from tests.harness.tiny import make_whisper

SPEECH = ROOT / "examples" / "speech"
# The first article of the Universal Declaration of Human Rights, in scripts whose characters have
# the most tokens, with its syllables.
DENSE = {
    "te": ("ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన్మతః స్వతంత్రులును సమానులును నగుదురు.", 36),
    "my": ("လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။", 23),
    "km": ("មនុស្សទាំងអស់ កើតមកមានសេរីភាព និងសមភាព ក្នុងផ្នែកសេចក្ដីថ្លៃថ្នូរនិងសិទ្ធិ។", 26),
    "lo": ("ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ, ສິດທິ, ເສລີພາບແລະຄວາມສະເໝີພາບເທົ່າທຽມກັນ.", 26),
    "am": ("የሰው፡ልጅ፡ሁሉ፡ሲወለድ፡ነጻና፡በክብርና፡በመብትም፡እኩልነት፡ያለው፡ነው።", 34),
    "bo": ("འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང༌། འདྲ་མཉམ་དུ་ཡོད་ལ།", 21),
    "vi": ("Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.", 18),
    "el": ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.", 25),
    "en": ("All human beings are born free and equal in dignity and rights.", 17),
}
# The fastest of 170 readers in 17 languages (Coupé et al. 2019).
FASTEST_SYLLABLES = 9.1


def of_generate(model: Whisper, heard: Heard, **options: Any) -> list[tuple[list[int], float]]:
    """The tokens of each clip up to its end, and their mean log-probability, one by one."""
    found = []
    for row in range(len(heard)):
        given = model.module.generate(
            heard.features[row : row + 1],
            **{"do_sample": False, **options},
            return_dict_in_generate=True,
            output_scores=True,
        )
        scores = model.module.compute_transition_scores(
            given.sequences, given.scores, normalize_logits=True
        )
        ids = given.sequences[0, -len(given.scores) :].tolist()
        found.append(([id_ for id_ in ids if id_ != end_of(model)], float(scores.mean())))
    return found


def end_of(model: Whisper) -> int:
    return int(model.tokenizer.eos_token_id)


def assert_same(model: Whisper, heard: Heard) -> None:
    written = greedy(model.module, heard, model.rules)
    for one, (ids, score) in zip(written, of_generate(model, heard), strict=True):
        assert one.ids == ids
        # A confident token's log-probability is the small difference of large numbers.
        assert one.score == pytest.approx(score, rel=1e-4, abs=1e-5)


@pytest.fixture(scope="module")
def micro() -> Whisper:
    """A trained model."""
    folder = ROOT / "examples" / "whisper-micro"
    spec = builders.spec(model=str(folder), lang="en")
    return whisper.load(folder, spec, "cpu", torch.float32)


def speech(language: str, clips: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    found = []
    for path in sorted((SPEECH / language / "test").glob("*.mp3"))[:clips]:
        samples, rate = soundfile.read(path, dtype="float32")
        found.append(soxr.resample(samples, rate, 16_000)[: 3 * 16_000])
    return found


@pytest.mark.parametrize("language", ["en", "sw", "el"])
def test_a_trained_model_writes_what_generate_writes(language: str) -> None:
    folder = ROOT / "examples" / "whisper-micro"
    spec = builders.spec(model=str(folder))
    model = whisper.load(folder, spec, "cpu", torch.float32, language=language)
    heard = model.recipe.listen(speech(language, 10))
    assert_same(model, Heard(features=heard.features, seconds=(60.0,) * len(heard)))
    assert len({one.text for one in model.decode(heard)}) > 5


def wild(folder: Path, seed: int, spoken: tuple[str, ...]) -> Whisper:
    """A random model that writes another token at each step, and ends now and then."""
    make_whisper(folder, languages=spoken, seed=seed)
    model = whisper.load(folder, builders.spec(model=str(folder)), "cpu", torch.float32)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.module.model.named_parameters():
            if weight.ndim > 1 and "embed_positions" not in name:
                weight.mul_(10)
        # Tied to the embeddings it would write the token that it has just read.
        scores = torch.randn(model.module.proj_out.weight.shape)
        scores[end_of(model)] *= 1.5
        model.module.proj_out.weight = torch.nn.Parameter(scores)
    return model


@pytest.fixture(scope="module", params=[("en", "el"), ()], ids=["multilingual", "monolingual"])
def random_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Whisper:
    return wild(tmp_path_factory.mktemp("wild"), 0, request.param)


def noise(clips: int, seed: int) -> Heard:
    features = torch.randn(clips, 80, 200, generator=torch.Generator().manual_seed(seed))
    return Heard(features=features, seconds=(60.0,) * clips)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    clips=st.integers(1, 6),
    most=st.integers(1, 200),
    never=st.sets(st.integers(0, 255), max_size=200),
    first=st.sets(st.integers(0, 256), max_size=200),
)
def test_suppressed_tokens_and_lengths_are_those_of_generate(
    random_model: Whisper, seed: int, clips: int, most: int, never: set[int], first: set[int]
) -> None:
    generation = random_model.module.generation_config
    before = generation.max_length, generation.suppress_tokens, generation.begin_suppress_tokens
    generation.max_length = most
    generation.suppress_tokens = sorted(never) or None
    generation.begin_suppress_tokens = sorted(first) or None
    try:
        assert_same(random_model, noise(clips, seed))
    finally:
        generation.max_length, generation.suppress_tokens = before[:2]
        generation.begin_suppress_tokens = before[2]


def test_texts_end_at_different_lengths_in_these_tests(random_model: Whisper) -> None:
    written = greedy(random_model.module, noise(24, 0), random_model.rules)
    lengths = {len(one.ids) for one in written}
    assert len(lengths) > 5
    assert len({tuple(one.ids) for one in written}) > 8


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_texts_do_not_depend_on_the_size_of_the_batch(micro: Whisper, size: int) -> None:
    heard = micro.recipe.listen(speech("en", 14))
    together = micro.decode(heard)
    apart = [one for start in range(0, 14, size) for one in micro.decode(heard[start:][:size])]
    assert [one.text for one in apart] == [one.text for one in together]
    # Matrix products of another height may differ in their last bits.
    scores = [one.score for one in apart], [one.score for one in together]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4, abs=1e-5)


def test_encoder_states_do_not_depend_on_their_company_at_all(
    micro: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights: list[int] = []
    encoder = micro.module.model.encoder

    def counting(module: Any, given: tuple[torch.Tensor, ...]) -> None:
        heights.append(len(given[0]))

    hook = encoder.register_forward_pre_hook(counting)
    try:
        micro.decode(micro.recipe.listen(speech("en", 3)))
    finally:
        hook.remove()
    assert heights == [1, 1, 1]


def test_a_text_is_cut_where_nobody_could_have_said_more(random_model: Whisper) -> None:
    rules = random_model.rules
    heard = noise(6, 1)
    seconds = (0.05, 0.2, 0.4, 0.05, 0.6, 1.0)
    short = greedy(random_model.module, Heard(features=heard.features, seconds=seconds), rules)
    whole = greedy(random_model.module, heard, rules)
    limits = [24 + math.ceil(70 * each) for each in seconds]
    assert rules.limits(seconds) == [min(limit, rules.most) for limit in limits]
    assert [one.ids for one in short] == [
        one.ids[:limit] for one, limit in zip(whole, limits, strict=True)
    ]
    assert any(len(one.ids) == 28 for one in short)


@pytest.mark.parametrize("language", sorted(DENSE))
def test_the_fastest_speech_in_the_densest_script_fits_under_the_limit(language: str) -> None:
    text, syllables = DENSE[language]
    with warnings.catch_warnings():
        # The package leaves its file open.
        warnings.simplefilter("ignore", ResourceWarning)
        tokens = len(get_tokenizer(True, num_languages=100).encode(f" {text}"))
    assert tokens / (syllables / FASTEST_SYLLABLES) < token_rate(languages.find(language))


def test_a_language_of_many_scripts_has_the_limit_of_the_largest() -> None:
    rates = {
        code: token_rate(languages.find(code)) for code in ("en", "sw", "sr", "ja", "ff", "sa")
    }
    assert rates == {"en": 35, "sw": 70, "sr": 70, "ja": 105, "ff": 140, "sa": 105}


def test_a_batch_that_is_too_large_for_the_memory_is_halved(
    micro: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = micro.recipe.listen(speech("en", 7))
    expected = [one.text for one in micro.decode(heard)]
    sizes: list[int] = []

    def small(model: Any, heard: Heard, rules: Any) -> Any:
        sizes.append(len(heard))
        if len(heard) > 2:
            raise torch.OutOfMemoryError("too large")
        return greedy(model, heard, rules)

    monkeypatch.setattr(whisper, "greedy", small)
    assert [one.text for one in micro.decode(heard)] == expected
    assert sizes == [7, 4, 2, 2, 3, 2, 1]


def test_a_single_window_that_is_too_large_is_the_error_itself(
    micro: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> Iterator[Any]:
        raise torch.OutOfMemoryError("too large")

    monkeypatch.setattr(whisper, "greedy", never)
    with pytest.raises(torch.OutOfMemoryError, match="too large"):
        micro.decode(micro.recipe.listen(speech("en", 2)))


def test_half_precision_writes_nearly_every_text_as_full_precision_does(micro: Whisper) -> None:
    folder = ROOT / "examples" / "whisper-micro"
    half = whisper.load(
        folder, builders.spec(model=str(folder)), "cpu", torch.bfloat16, language="en"
    )
    heard = micro.recipe.listen(speech("en", 20))
    pairs = list(zip(half.decode(heard), micro.decode(heard), strict=True))
    assert sum(one.text == other.text for one, other in pairs) >= 17
    for one, other in pairs:
        assert one.score == pytest.approx(other.score, abs=0.1)
