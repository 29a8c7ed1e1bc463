"""Which model does the work, and whether it may: decided before anything is sent.

Pure functions over the catalogue. A model that was named is checked; otherwise the tables of
`core.ranking` are read from the top and the first model that serves is taken: what is asked for
decides, then whose key there is, then the shortest way for the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from asrcli.core.ranking import has_models, ranked
from asrcli.errors import (
    AsrError,
    FeatureError,
    KeyMissingError,
    LanguageError,
    MissingHelperError,
    UnknownModelError,
    UsageError,
)
from asrcli.providers import catalogue, languages
from asrcli.providers.base import API, Feature, Mode, Model

__all__ = ["Choice", "Need", "choose", "explain"]

_SHORT_BYTES = 10_000_000
_SHORT_SECONDS = 300.0
_JOB_SECONDS = 43_200.0
_JOB_BYTES = 2_000_000_000

_SERVICES = {
    "qwen": "DASHSCOPE_API_KEY",
    "onemin": "ONEMIN_API_KEY",
    # A stray OPENAI_API_KEY must not send audio anywhere: without -p it takes a host.
    "openai": "OPENAI_BASE_URL",
}
"""In the order in which they are preferred, with the variable that opens each."""
_SOFT = frozenset({Feature.TIMES, Feature.PARTIALS, Feature.URL})
"""What is made up for: times come from cutting at pauses, partials later, URLs are fetched."""
_BY_PROMPT = frozenset({Feature.EMOTION})
"""What asrcli asks for in a prompt. Times and speakers that way would be invented."""
_WORDS = {
    Feature.ITN: "optional inverse text normalization",
    Feature.PROMPT: "a prompt",
    Feature.HOTWORDS: "hotwords",
    Feature.EMOTION: "emotion",
    Feature.DIARIZE: "speaker labels",
    Feature.WORDS: "word times",
    Feature.CHANNELS: "channel selection",
    Feature.DETECT: "language detection",
    Feature.URL: "URLs",
    Feature.UPLOAD: "references from `asrcli upload`",
}


@dataclass(frozen=True, slots=True)
class Need:
    """What is asked for; size and duration are None where nobody has looked yet."""

    model: str | None = None
    """An id; None or `auto` leaves the choice to us."""
    provider: str | None = None
    language: str | None = None
    """As the user typed it; None to have it detected."""
    features: frozenset[Feature] = frozenset()
    itn: bool | None = None
    """None is the model's own default."""
    duration: float | None = None
    """Seconds."""
    size: int | None = None
    """Bytes."""
    realtime: bool = False
    """True for live audio."""

    @property
    def automatic(self) -> bool:
        """True if no model was named."""
        return self.model in {None, "auto"}

    @property
    def long(self) -> bool:
        """True for a recording that is more than one short call."""
        return (self.duration or 0) > _SHORT_SECONDS or (self.size or 0) > _SHORT_BYTES

    @property
    def endless(self) -> bool:
        """True for a recording that is longer than any job takes."""
        return (self.duration or 0) > _JOB_SECONDS or (self.size or 0) > _JOB_BYTES

    def kind(self, duration: float, size: int) -> tuple[float, int]:
        """What of a length in seconds and a size in bytes matters: equal kinds, equal models."""
        if not self.automatic:
            return (1.0, 1)
        need = self.of(duration, size)
        return (2.0 if need.endless else 1.0, 2 if need.long else 1)

    def of(self, duration: float, size: int) -> Need:
        """The same need for a recording of this length in seconds and size in bytes."""
        return replace(self, duration=duration, size=size)

    def wants(self, *features: Feature) -> bool:
        """True if any of the features is asked for."""
        return not self.features.isdisjoint(features)


@dataclass(frozen=True, slots=True)
class Choice:
    """The model, what it is told, and why it was chosen."""

    model: Model
    language: str | None
    """The model's own code or name; None if it is to find out."""
    why: str
    warnings: tuple[str, ...] = ()


def choose(need: Need, *, usable: Mapping[str, bool], can_run: Callable[[Model], bool]) -> Choice:
    """The model for what is asked for.

    `usable` says of each provider whether it has its key, its host or its engine; `can_run` whether
    this version knows how to call a model. Raises UnknownModelError, FeatureError, LanguageError or
    UsageError for what cannot be, KeyMissingError for what needs a key, MissingHelperError for an
    engine that is not installed.
    """
    chooser = _Chooser(need, usable, can_run)
    if need.language is not None and languages.canonical(need.language) is None:
        raise chooser.no_such_language(need.language)
    return chooser.automatic() if need.automatic else chooser.named()


def explain(choice: Choice) -> str:
    """The choice as one line."""
    language = f", language {choice.language}" if choice.language else ""
    return f"{choice.model.id} at {choice.model.provider}{language}: {choice.why}"


@dataclass(frozen=True, slots=True)
class _Chooser:
    need: Need
    usable: Mapping[str, bool]
    can_run: Callable[[Model], bool]

    def named(self) -> Choice:
        """The model of that id, at the first provider where it serves."""
        return self._first([(model, "asked for with -m") for model in self._candidates()])

    def automatic(self) -> Choice:
        """The first in the tables that serves."""
        provider = self.need.provider
        if provider is not None:
            if not has_models(provider, realtime=self.need.realtime):
                raise self._no_models(provider)
            return self._first(list(ranked(self.need, [provider])))
        ready = [service for service in _SERVICES if self.usable.get(service)]
        if not ready:
            return self._without_key()
        return self._first(list(ranked(self.need, ready)) or list(ranked(self.need, _SERVICES)))

    def _candidates(self) -> list[Model]:
        name, provider = self.need.model or "", self.need.provider
        try:
            return catalogue.find(name, provider=provider) or [
                catalogue.resolve(name, provider=provider)
            ]
        except UnknownModelError as error:
            if provider is None and self.usable.get("openai"):
                error.hint = f"{error.hint} A model of your own server needs -p openai."
            raise

    def _without_key(self) -> Choice:
        local, why = next(ranked(self.need, ["local"]))
        if self.usable.get("local") and self._refusal(local) is None:
            return Choice(local, self._language(local), why, (self._rough(),))
        services = [service for service in _SERVICES if service != "openai"]
        return self._first(list(ranked(self.need, services)))

    def _first(self, candidates: list[tuple[Model, str]]) -> Choice:
        """The first that may be used and serves: what a model can, before what it promises."""
        for by_prompt in (False, True):
            for model, why in candidates:
                if self._open(model) and self._fits(model, by_prompt=by_prompt):
                    language = self._language(model)
                    return Choice(model, language, why, tuple(self._warnings(model, language)))
        raise self._failure([model for model, _ in candidates])

    def _warnings(self, model: Model, language: str | None) -> Iterator[str]:
        if not model.known and model.provider != "openai":
            yield f"{model.id} is not in the catalogue: it is taken for a model of {model.family}"
        if self.need.language is None and language is not None:
            name = languages.name_of(language)
            yield f"no language was given, and {model.id} knows only {name}: that is assumed"
        for feature in sorted((self.need.features & model.approximate) - model.features - _SOFT):
            yield f"{model.id} is asked for {_WORDS[feature]} in its prompt, without a guarantee"
        if self.need.itn and model.family == "qwen3-asr" and language not in {None, "zh", "en"}:
            # https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference, enable_itn
            yield f"{model.id} normalizes only Chinese and English text"
        if self.need.language is not None and _finds_out_anyway(model):
            yield f"{model.id} finds the language by itself: it cannot be told {language}"

    def _rough(self) -> str:
        assumed = "" if self.need.language else ", and that is assumed"
        return (
            "no key is configured: the embedded engine is used; it is rough and knows only "
            f"English{assumed}. For better text set {_SERVICES['qwen']} or {_SERVICES['onemin']}"
        )

    # --- may it? ------------------------------------------------------------------------------

    def _open(self, model: Model) -> bool:
        """True if the provider can be asked; by its name, openai needs neither key nor host."""
        if model.provider == self.need.provider == "openai":
            return True
        return self.usable.get(model.provider, False)

    def _fits(self, model: Model, *, by_prompt: bool = True) -> bool:
        return self.can_run(model) and self._serves(model, by_prompt=by_prompt)

    def _serves(self, model: Model, *, by_prompt: bool = True) -> bool:
        """True if the model does all that is asked for, whoever may call it."""
        language = self.need.language
        return (
            self._hears(model)
            and self._lacking(model, by_prompt=by_prompt) is None
            and (_finds_language(model) if language is None else languages.knows(model, language))
        )

    def _hears(self, model: Model) -> bool:
        """True if it takes what there is: a recording, or live audio."""
        return model.api is API.EMBEDDED or (model.mode is Mode.REALTIME) == self.need.realtime

    def _lacking(self, model: Model, *, by_prompt: bool = True) -> str | None:
        """The first thing asked for that the model does not do, in words; None if it does all."""
        offered = model.features | _SOFT
        if not self.need.automatic and self.need.wants(Feature.HOTWORDS):
            from asrcli.core.hotwords import takes_hotwords

            # What was named may also take them as part of its prompt.
            offered |= {Feature.HOTWORDS} if takes_hotwords(model) else set()
        if by_prompt:
            offered |= model.approximate & _BY_PROMPT
        for feature in Feature:
            if feature in self.need.features - offered:
                return _WORDS[feature]
        itn = self.need.itn
        if itn is None or Feature.ITN in model.features or model.itn_default is itn:
            return None
        return "inverse text normalization (--itn)" if itn else "text as spoken (--no-itn)"

    def _language(self, model: Model) -> str | None:
        if self.need.language is not None:
            return languages.language_for(model, self.need.language, among=())
        return None if Feature.DETECT in model.features else model.languages[0]

    # --- refusals -----------------------------------------------------------------------------

    def _failure(self, models: list[Model]) -> AsrError:
        """Why none of the models was chosen: the one that comes closest says it."""
        refusals = [(model, self._refusal(model)) for model in models]
        opened = [(m, refusal) for m, refusal in refusals if self._open(m)]
        able = [model for model, refusal in refusals if refusal is None]
        if able and not opened:
            return self._closed(able)
        # Of those that could be asked, one that this version can call: it lacks something.
        nearest = sorted(opened or refusals, key=lambda pair: not self.can_run(pair[0]))
        return next(refusal for _, refusal in nearest if refusal is not None)

    def _refusal(self, model: Model) -> AsrError | None:
        """Why the model cannot serve, with what could instead; None if it can."""
        if not self._hears(model):
            return self._wrong_mode(model)
        if not self.can_run(model):
            message = f"this version of asrcli cannot call {_label(model)}"
            return UsageError(message, hint=self._pointer(self._instead(model), "can do this"))
        lacking = self._lacking(model)
        if lacking is not None:
            instead = self._instead(model)
            error = FeatureError(lacking, _label(model), [other.id for other in instead])
            error.hint = self._pointer(instead, "can") or "No model does all of this at once."
            return error
        if self.need.language is None:
            return None if _finds_language(model) else _needs_language(model)
        if languages.knows(model, self.need.language):
            return None
        pointer = self._pointer(self._instead(model), "can") or ""
        return languages.refusal(model, self.need.language, others=pointer)

    def _wrong_mode(self, model: Model) -> UsageError:
        takes, asked = "files", "live audio"
        if model.mode is Mode.REALTIME:
            takes, asked = asked, takes
        sibling = catalogue.sibling(model)
        hints = [self._pointer([sibling], f"takes {asked}")] if sibling else []
        if sibling is None or not self.can_run(sibling):
            able = [other for other in self._instead(model) if self.can_run(other)]
            hints.append(self._pointer(able[:1], f"takes {asked}"))
        hint = " ".join(filter(None, hints)) or None
        return UsageError(f"{model.id} takes {takes}, not {asked}", hint=hint)

    def no_such_language(self, language: str) -> LanguageError:
        """The error for what is no language at all."""
        hint = "Give a BCP 47 or ISO 639 code, or the English name of a language."
        nearest = languages.nearest(language)
        return LanguageError(language, self.need.model or "asrcli", nearest, others=hint)

    def _no_models(self, provider: str) -> UsageError:
        what = "live audio" if self.need.realtime else "recordings"
        services = (*_SERVICES, "local")
        others = [p for p in services if has_models(p, realtime=self.need.realtime)]
        return UsageError(
            f"there is no model for {what} at {provider}", hint=f"Try -p {' or -p '.join(others)}."
        )

    def _closed(self, able: list[Model]) -> AsrError:
        """The error for models that could serve if there were a key or an engine."""
        if able[0].provider == "local":
            hint = "`pip install pocketsphinx` brings it, where there is a wheel for it."
            return MissingHelperError("the embedded engine is not installed", hint=hint)
        variables = list(dict.fromkeys(_SERVICES[model.provider] for model in able))
        hint = f"Set {' or '.join(variables)}."
        if self.need.automatic and self.need.provider is None:
            has_local = (
                "does only plain English" if self.usable.get("local") else "is not installed"
            )
            hint += f" The embedded engine needs no key, but {has_local}."
        return KeyMissingError(self._what(), variables, hint=hint)

    def _what(self) -> str:
        wanted = [_WORDS[f] for f in Feature if f in self.need.features - _SOFT]
        if self.need.language is not None:
            wanted.append(languages.name_of(self.need.language))
        return ", ".join(wanted) or ("live audio" if self.need.realtime else "transcription")

    # --- what could instead -------------------------------------------------------------------

    def _instead(self, model: Model) -> list[Model]:
        """Other models that do all that is asked for, those that can be used now first."""
        others = [
            other
            for other in catalogue.models()
            if (other.id, other.provider) != (model.id, model.provider)
            # What the default region does not have is no advice.
            and (not other.regions or "intl" in other.regions)
        ]
        able = [other for other in others if self._serves(other, by_prompt=False)]
        return able or [other for other in others if self._serves(other)]

    def _pointer(self, models: Iterable[Model], verb: str) -> str | None:
        """A sentence that names the best of the models, and what it takes to use them."""
        best = sorted(models, key=lambda m: (not self.can_run(m), not self._open(m)))
        if not best:
            return None
        first = best[0]
        same = [m for m in best if self._standing(m) == self._standing(first)]
        ids = ", ".join(dict.fromkeys(model.id for model in same[:3]))
        if not self.can_run(first):
            return f"{ids} {verb}, but this version of asrcli cannot call that."
        if not self._open(first):
            needed = _SERVICES.get(first.provider, "the embedded engine")
            return f"{ids} at {first.provider} {verb}: that needs {needed}."
        if self.need.provider not in {None, first.provider}:
            return f"{ids} at {first.provider} {verb}: choose it with -p {first.provider} and -m."
        return f"{ids} {verb}: choose it with -m."

    def _standing(self, model: Model) -> tuple[bool, bool, str]:
        return self.can_run(model), self._open(model), model.provider


def _finds_language(model: Model) -> bool:
    return Feature.DETECT in model.features or len(model.languages) == 1


def _finds_out_anyway(model: Model) -> bool:
    """True for the older Paraformers: `language_hints` are for paraformer-v2 alone.

    https://help.aliyun.com/zh/model-studio/paraformer-recorded-speech-recognition-restful-api
    """
    older = model.family == "paraformer" and not model.id.startswith("paraformer-v2")
    return older and model.mode is Mode.BATCH and len(model.languages) > 1


def _needs_language(model: Model) -> UsageError:
    hint = "Say it with -l and its region, for example -l en-US."
    return UsageError(f"{model.id} has to be told the language", hint=hint)


def _label(model: Model) -> str:
    """The id; with the provider where the same id means something else elsewhere."""
    several = len(catalogue.find(model.id)) > 1
    return f"{model.id} at {model.provider}" if several else model.id
