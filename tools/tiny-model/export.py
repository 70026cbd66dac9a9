"""Write the trained weights and the vocabulary as a GGUF file for llama.cpp: `python export.py`."""

import argparse
import pickle
from pathlib import Path

import gguf
import numpy as np

from model import Shape
from tokenizer import CHAT_TEMPLATE, END, SPECIAL, Tokenizer
from train import BUILD

MODEL_FILE = Path(__file__).parents[2] / "models" / "tiny.gguf"
FILE_BYTES_MAX = 4_000_000
# Our names of the matrices of a layer, and llama.cpp's.
LAYER_TENSORS = {
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "attention_out": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "attention_norm": "attn_norm",
    "hidden_norm": "ffn_norm",
}


def add_description(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """The general part and the sizes of the architecture."""
    writer.add_name("queen & hive tiny")
    writer.add_description("A very small model that answers questions about queen & hive and tells bee stories")
    writer.add_license("mit")
    writer.add_languages(["en"])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    """Pieces, scores and kinds as llama.cpp's SentencePiece reader wants them, and the chat template."""
    pieces = tokenizer.pieces
    ids = range(pieces.get_piece_size())

    def kind(token: int) -> gguf.TokenType:
        if pieces.is_unknown(token):
            return gguf.TokenType.UNKNOWN
        if pieces.is_control(token):
            return gguf.TokenType.CONTROL
        return gguf.TokenType.BYTE if pieces.is_byte(token) else gguf.TokenType.NORMAL

    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(token).encode() for token in ids])
    writer.add_token_scores([pieces.get_score(token) for token in ids])
    writer.add_token_types([kind(token) for token in ids])
    writer.add_bos_token_id(pieces.bos_id())
    # A chat ends with <|end|>, a plain text with </s>; both stop the generation.
    writer.add_eos_token_id(pieces.piece_to_id(END))
    writer.add_eot_token_id(pieces.piece_to_id(END))
    writer.add_uint32("tokenizer.ggml.eom_token_id", pieces.eos_id())
    writer.add_unk_token_id(pieces.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def add_matrix(writer: gguf.GGUFWriter, name: str, matrix: np.ndarray) -> None:
    """Add a matrix as Q8_0: blocks of 32 weights, 34 bytes each."""
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(matrix, np.float32), kind), raw_dtype=kind)


def add_weights(writer: gguf.GGUFWriter, parameters: dict[str, np.ndarray], shape: Shape) -> None:
    """All tensors: matrices become (out, in) and Q8_0, norms stay 32 bit; the output shares the embedding."""
    add_matrix(writer, "token_embd.weight", parameters["embedding"])
    writer.add_tensor("output_norm.weight", parameters["final_norm"].astype(np.float32))
    for layer in range(shape.layers):
        for ours, theirs in LAYER_TENSORS.items():
            weight = parameters[ours][layer]
            name = f"blk.{layer}.{theirs}.weight"
            if weight.ndim == 2:
                add_matrix(writer, name, weight.T)
            else:
                writer.add_tensor(name, weight.astype(np.float32))


def export(build: Path, target: Path) -> int:
    """Write `target` from the checkpoint and tokenizer in `build`; returns its size in bytes."""
    checkpoint = pickle.loads((build / "checkpoint.pickle").read_bytes())
    tokenizer = Tokenizer.load(build / "tokenizer.model")
    assert all(tokenizer.pieces.is_control(tokenizer.pieces.piece_to_id(piece)) for piece in SPECIAL)
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(target), "llama")
    add_description(writer, checkpoint["shape"])
    add_vocabulary(writer, tokenizer)
    add_weights(writer, checkpoint["parameters"], checkpoint["shape"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    size = target.stat().st_size
    if size > FILE_BYTES_MAX:
        raise SystemExit(f"cannot keep {target}: {size:,} bytes are more than {FILE_BYTES_MAX:,}")
    return size


def main() -> None:
    """Export build/ to models/tiny.gguf, or as the options say."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--build", type=Path, default=BUILD)
    arguments.add_argument("--out", type=Path, default=MODEL_FILE)
    options = arguments.parse_args()
    print(f"{options.out}: {export(options.build, options.out):,} bytes")


if __name__ == "__main__":
    main()
