"""Spectra of sound, and where two of them agree.

A spectrum is an array of frames by 24 mel bands, in decibels: a frame each 10 ms, of 25 ms. A
patch is 0.2 s of it. It needs numpy at the top: import this module when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["RATE", "SILENT", "Agreement", "Index", "Run", "compare", "loudest_near", "spectrum"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

RATE = 8_000
HOP, WINDOW, FFT = 80, 200, 256
BANDS, LOWEST, HIGHEST = 24, 120.0, 3_300.0
BLOCK = 60 * RATE
"""Samples that are in memory as frames at once."""

PATCH = 20
PATCH_RANGE, CLIP_RANGE = 40.0, 30.0
"""Decibels below the loudest that still count, in a patch and near a frame."""
SILENT = -75.0
"""dB of full scale."""
WAVES_IN_TIME, WAVES_IN_BANDS = 5, 10
"""Of the 10 by 24 numbers of a patch, the lowest cosines: fast to compare, and nearly all of it."""
SURE = 0.8
"""Correlation of two patches. Right ones have 0.85 to 0.98, noise less than 0.5."""
CLOSE = 3.0
"""Decibels between two frames. Codecs change 0.1 to 2, another sound in the mix 4 to 16."""
CLOSE_WORDS = ((5 * PATCH, 6.0), (2 * PATCH, 3.5), (0, 2.0))
"""Decibels between two words, for runs of so many frames. Codecs change 0.3 to 3, clipping more;
chance makes 2.5 to 10, but no run of a second."""
NEARLY_ALL = 0.88
"""How much of a word must be there; two frames may always be missing at its edges."""
FEWEST = 3
"""Patches in a run."""

TINY = np.float32(1e-11)


# --- spectra ----------------------------------------------------------------------------------


def spectrum(blocks: Iterable[NDArray[np.float32]]) -> tuple[Floats, int]:
    """The frames of all blocks (8 kHz, full scale 1), and how many samples there were."""
    frames = [np.zeros((0, BANDS), dtype=np.float32)]
    waiting: list[NDArray[np.float32]] = []
    samples = held = 0
    for block in blocks:
        waiting.append(block)
        samples += len(block)
        held += len(block)
        if held >= BLOCK:
            joined = np.concatenate(waiting)
            frames.append(_frames(joined))
            waiting = [joined[len(frames[-1]) * HOP :]]
            held = len(waiting[0])
    if samples:
        frames.append(_frames(np.concatenate([*waiting, np.zeros(WINDOW, dtype=np.float32)])))
    return np.concatenate(frames), samples


def _frames(samples: NDArray[np.float32]) -> Floats:
    windows = sliding_window_view(samples, WINDOW)[::HOP] * _SHAPE
    power = np.abs(np.fft.rfft(windows, FFT)).astype(np.float32) ** 2
    decibels: Floats = 10 * np.log10(power @ _BANK + TINY)
    return decibels


def _mel_bank() -> Floats:
    """Triangles, evenly wide on the mel scale; a sine of full scale comes to 0 dB."""
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (LOWEST, HIGHEST))
    edges = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    bins = (np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * 4 / float(_SHAPE.sum()) ** 2, dtype=np.float32)


_SHAPE: Floats = np.hanning(WINDOW).astype(np.float32)
_BANK = _mel_bank()


# --- which stretches of known clips are there ---------------------------------------------------


@dataclass(slots=True)
class Run:
    """Patches in a row that agree on the clip and on the distance in time."""

    clip: int
    frames: list[int] = field(default_factory=list)
    """Where the patches begin in the audio."""
    shifts: list[float] = field(default_factory=list)
    """The frame of the clip less the frame of the audio, for each patch."""

    @property
    def shift(self) -> float:
        return float(np.median(self.shifts))

    @property
    def steady(self) -> bool:
        """False when the audio runs faster or slower than the clip, by 1 % or more."""
        span = self.frames[-1] - self.frames[0]
        slope = np.polyfit(np.subtract(self.frames, self.frames[0]), self.shifts, 1)[0]
        return bool(abs(slope) < 0.005 + 0.3 / span)


class Index:
    """All patches of the known clips."""

    def __init__(self, clips: Sequence[Floats]) -> None:
        parts, clip_of, frame_of = [], [], []
        for number, clip in enumerate(clips):
            starts = np.arange(max(0, len(clip) - PATCH + 1))
            # An empty patch after each clip parts it from the next one.
            parts += [_patches(clip, starts), np.zeros((1, _PATCH_SIZE), dtype=np.float32)]
            clip_of += [number] * (len(starts) + 1)
            frame_of += [*starts, len(starts)]
        self._patches = np.ascontiguousarray((np.concatenate(parts) @ _BASIS).T)
        self._clip_of = np.array(clip_of)
        self._frame_of = np.array(frame_of)

    def runs(self, audio: Floats) -> list[Run]:
        """The stretches of clips that are in the audio, except those that run at another speed."""
        open_runs: list[Run] = []
        runs: list[Run] = []
        for frame, clip, shift in self._hits(audio):
            open_runs = [run for run in open_runs if frame - run.frames[-1] <= 2 * PATCH]
            for run in open_runs:
                if run.clip == clip and abs(run.shifts[-1] - shift) < 1:
                    break
            else:
                run = Run(clip)
                open_runs.append(run)
                runs.append(run)
            run.frames.append(frame)
            run.shifts.append(shift)
        return [run for run in runs if len(run.frames) >= FEWEST and run.steady]

    def _hits(self, audio: Floats) -> Iterator[tuple[int, int, float]]:
        """The frame of the audio, the clip that sounds like it there, and the shift."""
        step = 3 if len(audio) < 12_000 else 5
        starts = np.arange(0, max(0, len(audio) - PATCH + 1), step)
        for at in np.array_split(starts, len(starts) // 512 + 1):
            if not len(at):
                continue
            scores = np.asarray((_patches(audio, at) @ _BASIS) @ self._patches, np.float32)
            rows, best = np.arange(len(at)), scores.argmax(axis=1)
            sure = scores[rows, best] > SURE
            shifts = self._frame_of[best] + _peak(scores, rows, best) - at
            found = (at[sure], self._clip_of[best][sure], shifts[sure])
            yield from zip(*(column.tolist() for column in found), strict=True)


def _peak(scores: Floats, rows: Ints, best: Ints) -> Floats:
    """Where between the frames the best score lies, from -0.5 to 0.5: the top of a parabola."""
    before, here, after = (
        scores[rows, np.clip(best + by, 0, scores.shape[1] - 1)] for by in (-1, 0, 1)
    )
    bend = np.minimum(before - 2 * here + after, -1e-6)
    return np.asarray(np.clip(0.5 * (before - after) / bend, -0.5, 0.5), dtype=np.float32)


_OFFSETS = np.arange(0, PATCH, 2)
_PATCH_SIZE = len(_OFFSETS) * BANDS


def _cosines(size: int, count: int) -> Floats:
    waves = np.cos(np.pi * np.outer(np.arange(size) + 0.5, np.arange(count)) / size)
    return np.asarray(waves / np.linalg.norm(waves, axis=0), dtype=np.float32)


_BASIS = np.kron(_cosines(len(_OFFSETS), WAVES_IN_TIME), _cosines(BANDS, WAVES_IN_BANDS))


def _patches(audio: Floats, starts: Ints) -> Floats:
    """One row a patch, independent of loudness; zeros where there is silence."""
    patches = audio[starts[:, None] + _OFFSETS]
    loudest = patches.max(axis=(1, 2), keepdims=True)
    patches = np.maximum(patches, loudest - PATCH_RANGE)
    patches -= patches.mean(axis=(1, 2), keepdims=True)
    rows: Floats = patches.reshape(len(starts), _PATCH_SIZE)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + TINY
    rows[loudest[:, 0, 0] < SILENT] = 0
    return rows


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the audio has what a clip has, frame by frame of the clip, where a run puts it."""

    close: Bools
    """False outside of the audio, and far from the run."""
    apart: Floats
    """Decibels, in the bands that are not silent in the clip."""
    limit: float
    """What a word may be apart on average: less where chance may have made the run."""

    def has(self, first: int, last: int) -> bool:
        """Nearly all of the frames from `first` to before `last`, and close enough."""
        close = self.close[first:last]
        enough = min(NEARLY_ALL * len(close), max(1, len(close) - 2))
        return bool(close.sum() >= enough and self.apart[first:last].mean() < self.limit)


def compare(audio: Floats, clip: Floats, loudest: Floats, run: Run) -> Agreement:
    """`loudest` is `loudest_near(clip)`."""
    shift = round(run.shift)
    # Looked at a little beyond the run: patches at its ends may have been unlike for their half.
    first = max(0, shift, run.frames[0] + shift - 10 * PATCH)
    last = min(len(clip), len(audio) + shift, run.frames[-1] + shift + 11 * PATCH)
    there, here = audio[first - shift : last - shift], clip[first:last]
    floor = loudest[first:last, None] - CLIP_RANGE
    sounding = here > floor
    at = slice(max(0, run.frames[0] + shift - first), run.frames[-1] + shift + PATCH - first)
    gains = (there - here)[at][sounding[at]]
    gain = np.median(gains) if len(gains) else 0.0
    differences = np.abs(np.maximum(there - gain, floor) - np.maximum(here, floor))
    close = np.zeros(len(clip), dtype=np.bool_)
    smooth = np.convolve(np.pad(differences.mean(axis=1), 1, mode="edge"), np.ones(3) / 3, "valid")
    close[first:last] = smooth < CLOSE
    apart = np.full(len(clip), 100, dtype=np.float32)
    bands = np.maximum(1, sounding.sum(axis=1))
    apart[first:last] = np.sum(differences * sounding, axis=1) / bands
    span = run.frames[-1] - run.frames[0]
    return Agreement(close, apart, next(limit for least, limit in CLOSE_WORDS if span >= least))


def loudest_near(clip: Floats) -> Floats:
    """The loudest band within 0.3 s, for each frame."""
    reach = 30
    loudest = np.pad(clip.max(axis=1), reach, constant_values=SILENT)
    return np.asarray(sliding_window_view(loudest, 2 * reach + 1).max(axis=1), dtype=np.float32)
