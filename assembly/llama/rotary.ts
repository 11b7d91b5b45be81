// Rotary position embedding, in the half-rotation convention of Hugging Face.

/**
 * Rotates x [rows, heads, headDim] in place; row r stands at position r % sequence. The table
 * [sequence, headDim / 2, 2] holds cosine and sine. Direction 1 rotates, -1 rotates back (the
 * gradient). Works on rows first..end.
 */
export function rotate(x: usize, table: usize, first: i32, end: i32, sequence: i32, heads: i32, headDim: i32, direction: f32): void {
  const half = headDim >> 1;
  for (let r = first; r < end; r++) {
    const angles = table + (<usize>((r % sequence) * headDim) << 2);
    for (let h = 0; h < heads; h++) {
      const at = x + (<usize>((r * heads + h) * headDim) << 2);
      for (let i = 0; i < half; i++) {
        const cosine = load<f32>(angles + (<usize>i << 3));
        const sine = load<f32>(angles + (<usize>i << 3), 4) * direction;
        const low = at + (<usize>i << 2);
        const high = low + (<usize>half << 2);
        const a = load<f32>(low);
        const b = load<f32>(high);
        store<f32>(low, a * cosine - b * sine);
        store<f32>(high, b * cosine + a * sine);
      }
    }
  }
}
