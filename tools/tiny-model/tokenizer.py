"""Words and word parts: a SentencePiece BPE vocabulary with byte fallback, and the special tokens of a chat."""

import io
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from corpus import Document

VOCABULARY = 1536
END = "<|end|>"
# The first tokens of an answer decide what it is about, so they count more in the training.
OPENING_TOKENS, OPENING_WEIGHT = 6, 3.0
SPECIAL = ("<|system|>", "<|user|>", "<|assistant|>", END)
PRINTABLE = "".join(chr(code) for code in range(33, 127))

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def train_tokenizer(documents: list[Document], path: Path) -> None:
    """Learn the vocabulary from the lines of the documents and write it to `path`."""
    lines = (line for messages in documents for _, text in messages for line in text.splitlines() if line)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCABULARY,
        byte_fallback=True,
        character_coverage=0.9995,
        required_chars=PRINTABLE,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        control_symbols=list(SPECIAL),
        num_threads=1,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())


@dataclass
class Tokenizer:
    """Turns documents into token ids; llama.cpp does the same with the exported vocabulary."""

    pieces: sentencepiece.SentencePieceProcessor

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read what `train_tokenizer` wrote."""
        return cls(sentencepiece.SentencePieceProcessor(model_file=str(path)))

    def encode_document(self, messages: Document) -> tuple[list[int], list[float]]:
        """Token ids, and for each how much it matters to predict it: 1 for answers and texts, little for prompts."""
        ids, weights = [self.pieces.bos_id()], [0.0]
        for role, text in messages:
            body = self.pieces.encode(text)
            if role == "text":
                ids += [*body, self.pieces.eos_id()]
                weights += [1.0] * (len(body) + 1)
                continue
            matters = 1.0 if role == "assistant" else 0.1
            by_token = [matters] * (len(body) + 1)
            if role == "assistant":
                by_token[:OPENING_TOKENS] = [OPENING_WEIGHT] * min(OPENING_TOKENS, len(by_token))
            newline = self.pieces.encode("\n")
            ids += [self.pieces.piece_to_id(f"<|{role}|>"), *newline, *body, self.pieces.piece_to_id(END), *newline]
            weights += [matters * 0.1] * (1 + len(newline)) + by_token + [0.1] * len(newline)
        return ids, weights
