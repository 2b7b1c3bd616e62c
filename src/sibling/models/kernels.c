/* The element-wise work of a decoder, its attention while decoding, and its softmax over the vocabulary.

   Plain C with OpenMP, compiled once on the machine it runs on (native.py); matrix products stay with torch.
   Numbers are kept in float32; `half` says that an array called T holds bfloat16 instead. Arithmetic is always
   float32 and does not depend on the number of threads: every row is computed by one thread, in one order. */

#include "kernels.h"

/* A square of 32 x 32 bfloat16 transposed in registers: five rounds of exchanges between rows `step` apart. */
enum { SIDE = 32 };
#if defined(__GNUC__) && !defined(__clang__)
typedef uint16_t halves __attribute__((vector_size(2 * SIDE), aligned(2), may_alias));

static inline void turn(halves *row) {
#pragma GCC unroll 5
    for (int step = 1; step < SIDE; step *= 2) {
        halves low, high; /* lane l of both rows, a then b: b starts at SIDE */
        for (int l = 0; l < SIDE; l++) {
            low[l] = l & step ? l - step + SIDE : l;
            high[l] = l & step ? l + SIDE : l + step;
        }
#pragma GCC unroll 32
        for (int r = 0; r < SIDE; r++)
            if (!(r & step)) {
                halves a = row[r], b = row[r + step];
                row[r] = __builtin_shuffle(a, b, low);
                row[r + step] = __builtin_shuffle(a, b, high);
            }
    }
}
#else
typedef struct { uint16_t lane[SIDE]; } halves;

static inline void turn(halves *row) {
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < r; c++) {
            uint16_t kept = row[r].lane[c];
            row[r].lane[c] = row[c].lane[r];
            row[c].lane[r] = kept;
        }
}
#endif

/* out [w, n] = x [n, w] transposed, bfloat16. Four squares side by side: whole runs of a row are read at once. */
void transpose(const uint16_t *x, uint16_t *out, long n, long w) {
#pragma omp parallel for collapse(2) schedule(static)
    for (long wide = 0; wide < w; wide += 4 * SIDE)
        for (long i = 0; i < n; i += SIDE)
            for (long j = wide; j < w && j < wide + 4 * SIDE; j += SIDE) {
                halves square[SIDE];
                long rows = n - i < SIDE ? n - i : SIDE, columns = w - j < SIDE ? w - j : SIDE;
                if (rows == SIDE && columns == SIDE) {
                    for (long r = 0; r < SIDE; r++) square[r] = *(const halves *)(x + (i + r) * w + j);
                    turn(square);
                    for (long c = 0; c < SIDE; c++) *(halves *)(out + (j + c) * n + i) = square[c];
                    continue;
                }
                memset(square, 0, sizeof(square));
                for (long r = 0; r < rows; r++) memcpy(square + r, x + (i + r) * w + j, columns * sizeof(uint16_t));
                turn(square);
                for (long c = 0; c < columns; c++) memcpy(out + (j + c) * n + i, square + c, rows * sizeof(uint16_t));
            }
}

/* to [w, n] float32 = (add: +=) x [n, w] bfloat16 transposed. */
void transpose_to_float(const uint16_t *x, float *to, long n, long w, int add) {
#pragma omp parallel for collapse(2) schedule(static)
    for (long wide = 0; wide < w; wide += 4 * SIDE)
        for (long i = 0; i < n; i += SIDE)
            for (long j = wide; j < w && j < wide + 4 * SIDE; j += SIDE) {
                halves square[SIDE] = {0};
                long rows = n - i < SIDE ? n - i : SIDE, columns = w - j < SIDE ? w - j : SIDE;
                for (long r = 0; r < rows; r++) memcpy(square + r, x + (i + r) * w + j, columns * sizeof(uint16_t));
                turn(square);
                for (long c = 0; c < columns; c++) {
                    float *row = to + (j + c) * n + i;
                    const uint16_t *from = (const uint16_t *)(square + c);
                    for (long r = 0; r < rows; r++) row[r] = add ? row[r] + from_half(from[r]) : from_half(from[r]);
                }
            }
}

static inline float largest(const float *row, long n) {
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (long j = 0; j < n; j++) top = row[j] > top ? row[j] : top;
    return top;
}

/* -- norms -------------------------------------------------------------------------------------------------- */

/* y = x + add; out = y / rms(y) * (offset + weight), rms(y) = sqrt(mean y^2 + eps). x, y [n, w]; add, out T or null. */
void add_norm(const float *x, const void *add, const float *weight, float offset, float eps, float *y, void *out,
              float *scale, long n, long w, int half) {
#pragma omp parallel if (n * w > SMALL)
    {
        float *row = malloc(2 * w * sizeof(float)), *other = row + w;
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            memcpy(row, x + i * w, w * sizeof(float));
            if (add) {
                read_row(other, add, i * w, w, half);
                for (long j = 0; j < w; j++) row[j] += other[j];
            }
            if (y) memcpy(y + i * w, row, w * sizeof(float));
            float squares = 0;
#pragma omp simd reduction(+ : squares)
            for (long j = 0; j < w; j++) squares += row[j] * row[j];
            float s = 1.0f / sqrtf(squares / w + eps);
            if (scale) scale[i] = s;
            for (long j = 0; j < w; j++) other[j] = row[j] * s * (offset + weight[j]);
            write_row(out, other, i * w, w, half);
        }
        free(row);
    }
}

/* Of the norm above, given dout T [n, w] and dy [n, w] or null: dx = dy + d norm, also as T in dadd if wanted, and
   out again if wanted. `dweight` [ceil(n / 64), w] gets the sums of 64 rows each, whoever computes them. */
void norm_backward(const void *dout, const float *dy, const float *y, const float *weight, float offset,
                   const float *scale, float *dx, void *dadd, void *out, float *dweight, long n, long w, int half) {
    long blocks = (n + ROWS - 1) / ROWS;
#pragma omp parallel
    {
        float *g = malloc(2 * w * sizeof(float)), *d = g + w;
#pragma omp for schedule(static)
        for (long block = 0; block < blocks; block++) {
            float *sum = dweight + block * w;
            memset(sum, 0, w * sizeof(float));
            for (long i = block * ROWS; i < n && i < (block + 1) * ROWS; i++) {
                const float *row = y + i * w;
                float s = scale[i], dot = 0;
                read_row(g, dout, i * w, w, half);
                for (long j = 0; j < w; j++) sum[j] += g[j] * row[j] * s;
#pragma omp simd reduction(+ : dot)
                for (long j = 0; j < w; j++) dot += g[j] * (offset + weight[j]) * row[j];
                dot *= s * s / w;
                for (long j = 0; j < w; j++) d[j] = s * (g[j] * (offset + weight[j]) - row[j] * dot);
                if (dy)
                    for (long j = 0; j < w; j++) d[j] += dy[i * w + j];
                memcpy(dx + i * w, d, w * sizeof(float));
                if (dadd) write_row(dadd, d, i * w, w, half);
                if (out) {
                    for (long j = 0; j < w; j++) d[j] = row[j] * s * (offset + weight[j]);
                    write_row(out, d, i * w, w, half);
                }
            }
        }
        free(g);
    }
}

/* -- rotary positions --------------------------------------------------------------------------------------- */

static inline void rotate(float *head, const float *cosine, const float *sine, long size, float sign) {
    long middle = size / 2;
    for (long j = 0; j < middle; j++) {
        float a = head[j], b = head[j + middle];
        head[j] = a * cosine[j] - b * sine[j] * sign;
        head[j + middle] = b * cosine[j + middle] + a * sine[j + middle] * sign;
    }
}

/* Rotates the first `heads` heads of every row of x T [n, stride] in place; sign -1 is the backward direction. */
void rope(void *x, const float *cosine, const float *sine, long n, long stride, long heads, long size, float sign,
          int half) {
#pragma omp parallel if (n * heads * size > SMALL)
    {
        float *head = malloc(size * sizeof(float));
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++)
            for (long h = 0; h < heads; h++) {
                read_row(head, x, i * stride + h * size, size, half);
                rotate(head, cosine + i * size, sine + i * size, size, sign);
                write_row(x, head, i * stride + h * size, size, half);
            }
        free(head);
    }
}

/* -- gated linear unit -------------------------------------------------------------------------------------- */

/* out [n, w] = act(gate) up, of both [n, 2 w] = (gate, up). With dout: dboth too, and out again. All T.
   act is SiLU, g sigmoid(g), or with `gelu` its tanh form, g sigmoid(sqrt(8 / pi) (g + 0.044715 g^3)). */
void gated(const void *both, const void *dout, void *out, void *dboth, long n, long w, int gelu, int half) {
#pragma omp parallel if (n * w > SMALL)
    {
        float *g = malloc(4 * w * sizeof(float)), *u = g + w, *s = g + 2 * w, *d = g + 3 * w;
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            read_row(g, both, i * 2 * w, 2 * w, half);
            if (gelu)
                for (long j = 0; j < w; j++) s[j] = sigmoid(inner(g[j]));
            else
                for (long j = 0; j < w; j++) s[j] = sigmoid(g[j]);
            if (dout) {
                read_row(d, dout, i * w, w, half);
                for (long j = 0; j < w; j++) {
                    float slope = gelu ? 1.5957691216f * (1.0f + 0.134145f * g[j] * g[j]) : 1.0f;
                    float act = g[j] * s[j], up = u[j];
                    u[j] = d[j] * act;
                    d[j] = d[j] * up * (s[j] + act * (1.0f - s[j]) * slope);
                    s[j] = act * up;
                }
                write_row(dboth, d, i * 2 * w, w, half);
                write_row(dboth, u, i * 2 * w + w, w, half);
            } else
                for (long j = 0; j < w; j++) s[j] *= g[j] * u[j];
            write_row(out, s, i * w, w, half);
        }
        free(g);
    }
}

/* -- attention of one new token a row ----------------------------------------------------------------------- */

/* c [4, 16 width] += a [4, k] b [k, 16 width]. Rows of c lie `pitch` apart, of a `step` and its columns `next`, of b `n`. */
static inline __attribute__((always_inline)) void tile(float *c, long pitch, const float *a, long step, long next,
                                                       const float *b, long k, long n, const int width) {
    lanes sum[QUERIES][4];
    for (int q = 0; q < QUERIES; q++)
        for (int l = 0; l < width; l++) sum[q][l] = *(lanes *)(c + q * pitch + 16 * l);
    for (long i = 0; i < k; i++)
#pragma GCC unroll 4
        for (int q = 0; q < QUERIES; q++)
#pragma GCC unroll 4
            for (int l = 0; l < width; l++) sum[q][l] += a[q * step + i * next] * *(lanes *)(b + i * n + 16 * l);
    for (int q = 0; q < QUERIES; q++)
        for (int l = 0; l < width; l++) *(lanes *)(c + q * pitch + 16 * l) = sum[q][l];
}

/* c [4, n] += a [4, k] b [k, n], c and a as in `tile`. */
static inline void product(float *c, long pitch, const float *a, long step, long next, const float *b, long k, long n) {
    long j = 0;
    for (; j + 64 <= n; j += 64) tile(c + j, pitch, a, step, next, b + j, k, n, 4);
    for (; j + 32 <= n; j += 32) tile(c + j, pitch, a, step, next, b + j, k, n, 2);
    for (int q = 0; q < QUERIES && j < n; q++)
        for (long i = 0; i < k; i++)
            for (long l = j; l < n; l++) c[q * pitch + l] += a[q * step + i * next] * b[i * n + l];
}

/* Four queries [4, size] meet the keys [size, PAGE] and values [PAGE, size] of one page. A query sees the columns from
   low[q] to high[q] - 1. Its running maximum, sum and output are brought up to date. */
static void meet(const float *q, const float *keys, const float *values, const long *low, const long *high,
                 float scale, long size, float *most, float *sum, float *out) {
    float weight[QUERIES * PAGE] = {0};
    long used = 0;
    product(weight, PAGE, q, size, 1, keys, size, PAGE);
    for (int i = 0; i < QUERIES; i++) {
        float *row = weight + i * PAGE, top = most[i], total = 0;
        int from = low[i] < 0 ? 0 : low[i], to = high[i];
        for (int j = 0; j < PAGE; j++) row[j] = (j >= from) & (j < to) ? row[j] * scale : -INFINITY;
#pragma omp simd reduction(max : top)
        for (long j = 0; j < PAGE; j++) top = row[j] > top ? row[j] : top;
        float shrink = top > -INFINITY ? expo(most[i] - top) : 1.0f, shift = top > -INFINITY ? top : 0.0f;
#pragma omp simd reduction(+ : total)
        for (long j = 0; j < PAGE; j++) total += row[j] = expo(row[j] - shift);
        most[i] = top;
        sum[i] = sum[i] * shrink + total;
        for (long j = 0; j < size; j++) out[i * size + j] *= shrink;
        used = high[i] > used ? high[i] : used;
    }
    product(out, size, weight, PAGE, 1, values, used < PAGE ? used : PAGE, size);
}

/* qkv T [B, (H + 2 K) size] of one new token a row, before the rotation by cosine and sine [B, size] -> out T
   [B, H size]. Keys and values lie in pages of 32 positions: keys T [pages, K, size, 32], values T [pages, K, 32,
   size]. Row b reads `table` [B, width]: the pages of its prompt of `prompt[b]` tokens, then its own, which hold
   `own[b]` tokens and receive the new one. Rows from span[2 u] to span[2 u + 1] share a prompt: its pages are read
   once for all of them. `window`: most positions seen back, 0 for all. */
void attend(const void *qkv, const float *cosine, const float *sine, void *keys, void *values, const int32_t *table,
            long width, const int32_t *prompt, const int32_t *own, const int32_t *span, long spans, long heads,
            long kv_heads, long size, float scale, long window, void *out, int half) {
    long ratio = heads / kv_heads, stride = (heads + 2 * kv_heads) * size, page = kv_heads * size * PAGE, most_rows = 0;
    for (long u = 0; u < spans; u++)
        if (span[2 * u + 1] - span[2 * u] > most_rows) most_rows = span[2 * u + 1] - span[2 * u];
    long each = (ratio + QUERIES - 1) / QUERIES * QUERIES, room = most_rows * ratio + QUERIES;
    float *q = malloc((2 * room + 2 * PAGE + 2 + 2 * each) * size * sizeof(float)), *o = q + room * size,
          *k = o + room * size, *v = k + PAGE * size, *fresh = v + PAGE * size, *block = fresh + 2 * size,
          *answer = block + each * size;
    float *most = malloc(2 * (room + each) * sizeof(float)), *sum = most + room + each;
#pragma omp for collapse(2) schedule(dynamic)
    for (long u = 0; u < spans; u++)
        for (long h = 0; h < kv_heads; h++) {
            long first = span[2 * u], rows = span[2 * u + 1] - first, queries = rows * ratio, low[QUERIES], high[QUERIES];
            memset(q, 0, 2 * room * size * sizeof(float));
            for (long i = 0; i < room; i++) most[i] = -INFINITY, sum[i] = 0;
            for (long r = 0; r < rows; r++) { /* rotate the queries and the new key, and store key and value */
                long b = first + r, from = b * stride;
                for (long i = 0; i < ratio; i++) {
                    float *query = q + (r * ratio + i) * size;
                    read_row(query, qkv, from + (h * ratio + i) * size, size, half);
                    rotate(query, cosine + b * size, sine + b * size, size, 1.0f);
                    round_row(query, size, half);
                }
                long column = own[b] % PAGE, tiles = (prompt[b] + PAGE - 1) / PAGE;
                long at = table[b * width + tiles + own[b] / PAGE] * page + h * size * PAGE;
                read_row(fresh, qkv, from + (heads + h) * size, size, half);
                read_row(fresh + size, qkv, from + (heads + kv_heads + h) * size, size, half);
                rotate(fresh, cosine + b * size, sine + b * size, size, 1.0f);
                for (long j = 0; j < size; j++) write_row(keys, fresh + j, at + j * PAGE + column, 1, half);
                write_row(values, fresh + size, at + column * size, size, half);
            }
            long shared = prompt[first];
            for (long start = 0; start < shared; start += PAGE) { /* the prompt, for all siblings */
                long at = table[first * width + start / PAGE] * page + h * size * PAGE, seen = 0;
                long count = shared - start < PAGE ? shared - start : PAGE;
                for (long r = 0; r < rows; r++)
                    seen |= !window || shared + own[first + r] - window < start + count - 1;
                if (!seen) continue;
                read_row(k, keys, at, size * PAGE, half);
                read_row(v, values, at, size * count, half);
                for (long i = 0; i < queries; i += QUERIES) {
                    for (long j = 0; j < QUERIES; j++) {
                        long b = first + (i + j < queries ? i + j : queries - 1) / ratio;
                        low[j] = window ? shared + own[b] - window + 1 - start : 0;
                        high[j] = count;
                    }
                    meet(q + i * size, k, v, low, high, scale, size, most + i, sum + i, o + i * size);
                }
            }
            for (long r = 0; r < rows; r++) { /* each row's own tokens, the new one included */
                long b = first + r, tiles = (shared + PAGE - 1) / PAGE, end = own[b] + 1, start = r * ratio;
                memset(block, 0, 2 * each * size * sizeof(float)); /* its queries, in whole blocks of four */
                memcpy(block, q + start * size, ratio * size * sizeof(float));
                memcpy(answer, o + start * size, ratio * size * sizeof(float));
                float *top = most + room, *total = sum + room;
                memcpy(top, most + start, ratio * sizeof(float));
                memcpy(total, sum + start, ratio * sizeof(float));
                for (long i = ratio; i < each; i++) top[i] = -INFINITY, total[i] = 0;
                if (r + 1 < rows) { /* the next row's pages are on their way while this one's are at work */
                    long ahead = table[(b + 1) * width + tiles] * page + h * size * PAGE, bytes = half ? 2 : 4;
                    for (long j = 0; j < size * PAGE * bytes; j += 64) {
                        __builtin_prefetch((const char *)keys + ahead * bytes + j);
                        __builtin_prefetch((const char *)values + ahead * bytes + j);
                    }
                }
                for (long from = 0; from < end; from += PAGE) {
                    long bound = window ? own[b] - window + 1 - from : 0;
                    long count = end - from < PAGE ? end - from : PAGE;
                    if (bound >= count) continue;
                    long at = table[b * width + tiles + from / PAGE] * page + h * size * PAGE;
                    read_row(k, keys, at, size * PAGE, half);
                    read_row(v, values, at, size * count, half);
                    for (long j = 0; j < QUERIES; j++) low[j] = bound, high[j] = count;
                    for (long i = 0; i < each; i += QUERIES)
                        meet(block + i * size, k, v, low, high, scale, size, top + i, total + i, answer + i * size);
                }
                for (long i = 0; i < ratio; i++) {
                    for (long j = 0; j < size; j++) answer[i * size + j] /= total[i];
                    write_row(out, answer + i * size, (b * heads + h * ratio + i) * size, size, half);
                }
            }
        }
    free(q);
    free(most);
}

void decode_attention(const void *qkv, const float *cosine, const float *sine, void *keys, void *values,
                      const int32_t *table, long width, const int32_t *prompt, const int32_t *own,
                      const int32_t *span, long spans, long heads, long kv_heads, long size, float scale, long window,
                      void *out, int half) {
#pragma omp parallel
    attend(qkv, cosine, sine, keys, values, table, width, prompt, own, span, spans, heads, kv_heads, size, scale,
           window, out, half);
}

/* -- attention of whole groups, forward and backward --------------------------------------------------------- */

/* Groups lie packed one after another: the prompt, then its siblings. group [4] = first token, tokens of the prompt,
   index of the first sibling in `lengths`, number of siblings. A sibling sees its prompt and itself, each token what
   came before it. The prompt's keys and values are read, and their gradients gathered, once for all siblings. One
   thread does a group and a key head, so no sum depends on the number of threads. */

typedef struct { /* one group and one key head, float32 */
    long size, window;
    float scale;
    float *keys, *values;                /* transposed and plain pages: the prompt's, then a sibling's own */
    float *rows, *turned, *dkeys, *dvalues; /* backward: keys plain, values transposed, gradients */
    float *q, *out, *dout, *dq, *weight, *slope, *norm, *dot; /* of the queries of one head of one segment */
} Group;

static long whole(long n, long unit) { return (n + unit - 1) / unit * unit; }

static void *claim(float **place, long count) { return *place = aligned_alloc(64, whole(count * sizeof(float), 64)); }

static int prepare(Group *g, long prompt, long longest, long size, int backward) {
    long keys = (whole(prompt, KEYS) + whole(longest, KEYS)) * size, rows = whole(longest > prompt ? longest : prompt, QUERIES);
    memset(g, 0, sizeof(*g));
    int fine = claim(&g->keys, keys) && claim(&g->values, keys) && claim(&g->q, rows * size) &&
               claim(&g->out, rows * size) && claim(&g->norm, rows) && claim(&g->dot, rows) &&
               claim(&g->weight, backward ? rows * KEYS : QUERIES * keys / size);
    if (backward)
        fine = fine && claim(&g->rows, keys) && claim(&g->turned, keys) && claim(&g->dkeys, keys) &&
               claim(&g->dvalues, keys) && claim(&g->dout, rows * size) && claim(&g->dq, rows * size) &&
               claim(&g->slope, rows * KEYS);
    g->size = size;
    return fine;
}

static void release(Group *g) {
    float *all[] = {g->keys, g->values, g->rows, g->turned, g->dkeys, g->dvalues, g->q,
                    g->out, g->dout, g->dq, g->weight, g->slope, g->norm, g->dot};
    for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) free(all[i]);
}

/* Keys and values of `count` tokens into the pages from position `at`, which starts one. */
static void load(Group *g, const void *qkv, long token, long count, long stride, long key, long value, long at,
                 int half) {
    long size = g->size, end = whole(count, KEYS);
    memset(g->keys + at * size, 0, end * size * sizeof(float));
    memset(g->values + at * size, 0, end * size * sizeof(float));
    if (g->rows) {
        memset(g->rows + at * size, 0, end * size * sizeof(float));
        memset(g->turned + at * size, 0, end * size * sizeof(float));
        memset(g->dkeys + at * size, 0, end * size * sizeof(float));
        memset(g->dvalues + at * size, 0, end * size * sizeof(float));
    }
    for (long t = 0; t < count; t++) {
        long page = (at + t / KEYS * KEYS) * size, column = t % KEYS;
        float row[size];
        read_row(row, qkv, (token + t) * stride + key, size, half);
        for (long j = 0; j < size; j++) g->keys[page + j * KEYS + column] = row[j];
        if (g->rows) memcpy(g->rows + page + column * size, row, size * sizeof(float));
        read_row(row, qkv, (token + t) * stride + value, size, half);
        memcpy(g->values + page + column * size, row, size * sizeof(float));
        if (g->rows)
            for (long j = 0; j < size; j++) g->turned[page + j * KEYS + column] = row[j];
    }
}

/* `count` tokens of one head, rows of `size` beginning at `column`, padded with zeros to whole blocks. */
static void load_rows(float *to, const void *from, long token, long count, long stride, long column, long size, int half) {
    for (long t = 0; t < count; t++) read_row(to + t * size, from, (token + t) * stride + column, size, half);
    memset(to + count * size, 0, (whole(count, QUERIES) - count) * size * sizeof(float));
}

/* What the queries t .. t + 3 see of the page of `count` keys that begins `start` tokens into the prompt (shared) or
   the segment; `before` tokens precede the segment. Returns 0 if nothing. */
static int sight(const Group *g, long t, long tokens, long before, long start, long count, int shared, long *low,
                 long *high) {
    int any = 0;
    for (long i = 0; i < QUERIES; i++) {
        long here = before + t + i, first = shared ? start : before + start;
        low[i] = g->window && here - g->window + 1 > first ? here - g->window + 1 - first : 0;
        high[i] = here - first + 1 < count ? here - first + 1 : count;
        if (t + i >= tokens) high[i] = 0;
        any |= low[i] < high[i];
    }
    return any;
}

/* out [tokens, size] and norm, the logsumexp of each query's scores: all scores of four queries, then their softmax. */
static void segment_forward(Group *g, long tokens, long before, long own) {
    long size = g->size, low[QUERIES], high[QUERIES], width = own + whole(tokens, KEYS);
    for (long t = 0; t < tokens; t += QUERIES) {
        long used = t + QUERIES < tokens ? t + QUERIES : tokens; /* own keys that any of the four sees */
        memset(g->weight, 0, QUERIES * width * sizeof(float));
        for (int shared = 1; shared >= 0; shared--)
            for (long start = 0, end = shared ? before : tokens; start < end; start += KEYS) {
                long place = shared ? start : own + start, count = end - start < KEYS ? end - start : KEYS;
                int seen = sight(g, t, tokens, before, start, count, shared, low, high);
                if (seen) product(g->weight + place, width, g->q + t * size, size, 1, g->keys + place * size, size, KEYS);
                for (int i = 0; i < QUERIES; i++) {
                    float *row = g->weight + i * width + place;
                    int from = low[i], to = seen ? high[i] : 0;
                    for (int j = 0; j < KEYS; j++) row[j] = (j >= from) & (j < to) ? row[j] * g->scale : -INFINITY;
                }
            }
        for (int i = 0; i < QUERIES; i++) {
            float *row = g->weight + i * width, top = largest(row, width), total = 0;
            if (t + i >= tokens) top = 0; /* a query that is not there */
#pragma omp simd reduction(+ : total)
            for (long j = 0; j < width; j++) total += row[j] = expo(row[j] - top);
            g->norm[t + i] = top + logf(total);
            total = 1.0f / total;
            for (long j = 0; j < width; j++) row[j] *= total;
        }
        memset(g->out + t * size, 0, QUERIES * size * sizeof(float));
        product(g->out + t * size, size, g->weight, width, 1, g->values, before, size);
        product(g->out + t * size, size, g->weight + own, width, 1, g->values + own * size, used, size);
    }
}

/* With norm as above and dot = out . dout of each query: its gradient, and those of every key and value it saw. */
static void segment_backward(Group *g, long tokens, long before, long own) {
    long size = g->size, low[QUERIES], high[QUERIES], rows = whole(tokens, QUERIES);
    memset(g->dq, 0, rows * size * sizeof(float));
    for (int shared = 1; shared >= 0; shared--)
        for (long start = 0, end = shared ? before : tokens; start < end; start += KEYS) {
            long page = (shared ? start : own + start) * size, count = end - start < KEYS ? end - start : KEYS;
            long first = shared ? 0 : start / QUERIES * QUERIES;
            memset(g->weight + first * KEYS, 0, (rows - first) * KEYS * sizeof(float));
            memset(g->slope + first * KEYS, 0, (rows - first) * KEYS * sizeof(float));
            for (long t = first; t < tokens; t += QUERIES) {
                if (!sight(g, t, tokens, before, start, count, shared, low, high)) continue;
                float *weight = g->weight + t * KEYS, *slope = g->slope + t * KEYS;
                product(weight, KEYS, g->q + t * size, size, 1, g->keys + page, size, KEYS);
                product(slope, KEYS, g->dout + t * size, size, 1, g->turned + page, size, KEYS);
                for (int i = 0; i < QUERIES; i++) {
                    float *w = weight + i * KEYS, *d = slope + i * KEYS, norm = g->norm[t + i], dot = g->dot[t + i];
                    float scale = g->scale;
                    int from = low[i], to = high[i];
                    for (int j = 0; j < KEYS; j++) w[j] = expo(w[j] * scale - norm);
                    for (int j = 0; j < KEYS; j++) {
                        w[j] = (j >= from) & (j < to) ? w[j] : 0.0f;
                        d[j] = w[j] * (d[j] - dot) * scale;
                    }
                }
                product(g->dq + t * size, size, slope, KEYS, 1, g->rows + page, KEYS, size);
            }
            for (long j = 0; j < KEYS; j += QUERIES) {
                product(g->dkeys + page + j * size, size, g->slope + first * KEYS + j, 1, KEYS, g->q + first * size, rows - first, size);
                product(g->dvalues + page + j * size, size, g->weight + first * KEYS + j, 1, KEYS, g->dout + first * size, rows - first, size);
            }
        }
}

static void store_gradients(const Group *g, void *dqkv, long token, long count, long stride, long key, long value,
                            long at, int half) {
    for (long t = 0; t < count; t++) {
        write_row(dqkv, g->dkeys + (at + t) * g->size, (token + t) * stride + key, g->size, half);
        write_row(dqkv, g->dvalues + (at + t) * g->size, (token + t) * stride + value, g->size, half);
    }
}

/* qkv T [S, (heads + 2 kv_heads) size], rotated -> out T [S, heads size] and norm [S, heads], the logsumexp of each
   query's scores. With dout T: dqkv instead. 0 if all went well, 1 if memory ran out. */
int group_attention(const void *qkv, const int32_t *groups, const int32_t *lengths, long count, long heads,
                    long kv_heads, long size, float scale, long window, void *out, float *norm, const void *dout,
                    void *dqkv, int half) {
    long ratio = heads / kv_heads, stride = (heads + 2 * kv_heads) * size, width = heads * size;
    int failed = 0;
#pragma omp parallel for collapse(2) schedule(dynamic) reduction(| : failed)
    for (long u = 0; u < count; u++)
        for (long h = 0; h < kv_heads; h++) {
            const int32_t *group = groups + 4 * u;
            long prompt = group[1], longest = 0, key = (heads + h) * size, value = key + kv_heads * size;
            for (long s = 0; s < group[3]; s++)
                if (lengths[group[2] + s] > longest) longest = lengths[group[2] + s];
            Group g;
            if (!prepare(&g, prompt, longest, size, dout != NULL)) {
                release(&g);
                failed = 1;
                continue;
            }
            g.scale = scale, g.window = window;
            long token = group[0], own = 0;
            for (long s = -1; s < group[3]; s++) { /* -1: the prompt itself */
                long tokens = s < 0 ? prompt : lengths[group[2] + s], before = s < 0 ? 0 : prompt;
                own = s < 0 ? 0 : whole(prompt, KEYS);
                load(&g, qkv, token, tokens, stride, key, value, own, half);
                for (long r = 0; r < ratio; r++) {
                    long head = h * ratio + r, column = head * size;
                    load_rows(g.q, qkv, token, tokens, stride, column, size, half);
                    if (!dout) {
                        segment_forward(&g, tokens, before, own);
                        for (long t = 0; t < tokens; t++) {
                            write_row(out, g.out + t * size, (token + t) * width + column, size, half);
                            norm[(token + t) * heads + head] = g.norm[t];
                        }
                        continue;
                    }
                    load_rows(g.dout, dout, token, tokens, width, column, size, half);
                    load_rows(g.out, out, token, tokens, width, column, size, half);
                    for (long t = 0; t < whole(tokens, QUERIES); t++) {
                        float dot = 0;
#pragma omp simd reduction(+ : dot)
                        for (long j = 0; j < size; j++) dot += g.out[t * size + j] * g.dout[t * size + j];
                        g.dot[t] = dot;
                        g.norm[t] = t < tokens ? norm[(token + t) * heads + head] : 0;
                    }
                    segment_backward(&g, tokens, before, own);
                    for (long t = 0; t < tokens; t++)
                        write_row(dqkv, g.dq + t * size, (token + t) * stride + column, size, half);
                }
                if (dout && s >= 0) store_gradients(&g, dqkv, token, tokens, stride, key, value, own, half);
                token += tokens;
            }
            if (dout) store_gradients(&g, dqkv, group[0], prompt, stride, key, value, 0, half);
            release(&g);
        }
    return failed;
}

/* -- softmax over the vocabulary ---------------------------------------------------------------------------- */

static inline float exact(const float *x, const uint16_t *weight, long w) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (long j = 0; j < w; j++) sum += x[j] * from_half(weight[j]);
    return sum;
}

/* Logits [n, v] in float32 of a product that was rounded to bfloat16. The rounding is as large as 0.06 nats for a
   logit of 20, so those that carry the mass of the softmax (within `reach` of the largest, `LIKELY` at most, and
   token[i] if given) are computed again from the same factors x [n, w] and weight [v, w], and kept in float32. */
void refine(const uint16_t *rough, const uint16_t *x, const uint16_t *weight, const int64_t *token, float reach,
            float *out, long n, long v, long w) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++) {
        float *row = out + i * v, factor[w], most[(v + BLOCK - 1) / BLOCK], top = -INFINITY;
        read_row(factor, x, i * w, w, 1);
        for (long start = 0; start < v; start += BLOCK) {
            long count = start + BLOCK < v ? BLOCK : v - start;
            read_row(row + start, rough, i * v + start, count, 1);
            most[start / BLOCK] = largest(row + start, count);
            if (most[start / BLOCK] > top) top = most[start / BLOCK];
        }
        int left = LIKELY;
        for (long start = 0; start < v && left; start += BLOCK) {
            if (most[start / BLOCK] <= top - reach) continue;
            for (long j = start; j < start + BLOCK && j < v && left; j++)
                if (row[j] > top - reach) {
                    row[j] = exact(factor, weight + j * w, w);
                    left--;
                }
        }
        if (token) row[token[i]] = exact(factor, weight + token[i] * w, w);
    }
}

/* One token a row of logits [n, v] by inversion: the first whose cumulative probability exceeds `uniform`, with
   its log-probability. Sums of 128 tokens are accumulated in double. A row of NaN gets a log-probability of NaN. */
void draw(const float *logits, const double *uniform, int64_t *token, float *logprob, long n, long v) {
    long blocks = (v + BLOCK - 1) / BLOCK;
#pragma omp parallel
    {
        double *cumulative = malloc(blocks * sizeof(double));
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            const float *row = logits + i * v;
            float top = largest(row, v);
            double total = 0;
            for (long b = 0; b < blocks; b++) {
                long end = (b + 1) * BLOCK < v ? (b + 1) * BLOCK : v;
                float sum = 0;
#pragma omp simd reduction(+ : sum)
                for (long j = b * BLOCK; j < end; j++) sum += expo(row[j] - top);
                cumulative[b] = total += sum;
            }
            double target = uniform[i] * total;
            long block = 0;
            while (block < blocks - 1 && cumulative[block] <= target) block++;
            double passed = block ? cumulative[block - 1] : 0;
            long chosen = block * BLOCK, end = (block + 1) * BLOCK < v ? (block + 1) * BLOCK : v;
            for (long j = block * BLOCK; j < end; j++) {
                double mass = expo(row[j] - top);
                if (mass > 0) chosen = j; /* rounding may leave nothing beyond the target: then the last with mass */
                if ((passed += mass) > target && mass > 0) break;
            }
            token[i] = chosen;
            logprob[i] = (float)(row[chosen] - top - log(total));
        }
        free(cumulative);
    }
}

/* Of logits [n, v]: log-probability of token[i], entropy in nats (or null), and logsumexp as (maximum, log of the
   sum of exp beyond it) in norm [n, 2]. */
void score(const float *logits, const int64_t *token, float *logprob, float *entropy, float *norm, long n, long v) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++) {
        const float *row = logits + i * v;
        float top = largest(row, v);
        double total = 0, weighted = 0;
        for (long start = 0; start < v; start += BLOCK) {
            long end = start + BLOCK < v ? start + BLOCK : v;
            float sum = 0, moment = 0;
#pragma omp simd reduction(+ : sum, moment)
            for (long j = start; j < end; j++) {
                float x = row[j] - top, e = expo(x);
                sum += e;
                moment += e * (x > -1e30f ? x : -1e30f);
            }
            total += sum;
            weighted += moment;
        }
        double log_total = log(total);
        norm[2 * i] = top;
        norm[2 * i + 1] = (float)log_total;
        logprob[i] = (float)(row[token[i]] - top - log_total);
        if (entropy) entropy[i] = (float)(log_total - weighted / total);
    }
}

/* Gradient with respect to the logits of sum_i dlogprob[i] logprob[i] + dentropy[i] entropy[i], T [n, v]. */
void score_backward(const float *logits, const int64_t *token, const float *norm, const float *dlogprob,
                    const float *entropy, const float *dentropy, void *out, long n, long v, int half) {
#pragma omp parallel
    {
        float *d = malloc(v * sizeof(float));
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            const float *row = logits + i * v;
            float top = norm[2 * i], log_total = norm[2 * i + 1], gradient = dlogprob[i];
            float slope = dentropy ? dentropy[i] : 0, level = dentropy ? entropy[i] : 0;
#pragma omp simd
            for (long j = 0; j < v; j++) {
                float x = row[j] - top - log_total, p = expo(x);
                d[j] = -p * (gradient + slope * ((x > -1e30f ? x : -1e30f) + level));
            }
            d[token[i]] += gradient;
            write_row(out, d, i * v, v, half);
        }
        free(d);
    }
}
