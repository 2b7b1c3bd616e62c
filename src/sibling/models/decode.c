/* One decoding step through all layers, for processors with a matrix unit (Intel AMX) that multiplies bfloat16.

   A step of few rows is bound by reading the weights and by what it costs to start each small operation. So the
   weights are laid out as the unit reads them, in the order it reads them, and one parallel region runs all layers.
   Where the unit is missing `matrix_unit` says so, and torch makes the products (paged.py).

   Sums are float32, results bfloat16, as everywhere; each element is computed by one thread, in one order. */

#include "kernels.h"

#if defined(__AMX_BF16__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A tile is 16 rows of 64 bytes. The left factor lies in tiles of 16 rows x 32 columns, row blocks first. The right
   one lies in panels of 32 outputs: at each 32 inputs two tiles, of 16 pairs of inputs x 16 outputs each. */
enum { TILE = 16, DEEP = 32, AREA = TILE * DEEP, USE_TILES = 0x1023, TILE_DATA = 18 };

/* Asks the system for the unit: 1 if this process may use it. */
int matrix_unit(void) { return syscall(SYS_arch_prctl, USE_TILES, TILE_DATA) == 0; }

typedef struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } __attribute__((aligned(64))) Tiles;

static void set_tiles(void) {
    Tiles tiles = {.palette = 1};
    for (int t = 0; t < 8; t++) tiles.bytes[t] = 2 * DEEP, tiles.rows[t] = TILE;
    _tile_loadconfig(&tiles);
}

/* weight [out, in] as panels. Panel p holds the outputs 32 p to 32 p + 31; with `pair`, 16 p to 16 p + 15 and the same
   from `pair` on, so that a gate and what it gates come out of one panel. */
void lay_out(const uint16_t *weight, uint16_t *to, long out, long in, long pair) {
    long deep = in / DEEP;
#pragma omp parallel for schedule(static)
    for (long p = 0; p < out / 32; p++)
        for (long k = 0; k < deep; k++)
            for (int t = 0; t < 2; t++) {
                long first = pair ? TILE * p + t * pair : 32 * p + TILE * t;
                uint32_t *tile = (uint32_t *)(to + ((p * deep + k) * 2 + t) * AREA);
                for (int c = 0; c < TILE; c++) {
                    uint32_t column[TILE];
                    memcpy(column, weight + (first + c) * in + k * DEEP, sizeof(column));
                    for (int r = 0; r < TILE; r++) tile[r * TILE + c] = column[r];
                }
            }
}

/* Row i of a left factor with `deep` blocks of 32 columns: where its block k begins. */
static inline uint16_t *place(uint16_t *x, long i, long k, long deep) {
    return x + ((i / TILE * deep + k) * TILE + i % TILE) * DEEP;
}

static inline __m512 sum_of(const float *sums, const uint16_t *bias) {
    __m512 s = _mm512_load_ps(sums);
    if (!bias) return s;
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)bias));
    return _mm512_add_ps(s, _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
}

/* act(gate) up of 32 rows of 16 gates and 16 ups; long loops, which the compiler makes of whole registers. */
static void gate(const uint16_t *both, int gelu, uint16_t *out) {
    enum { ALL = 2 * TILE * TILE };
    float g[ALL], u[ALL];
    for (int i = 0; i < 2 * TILE; i++)
        for (int c = 0; c < TILE; c++) {
            g[i * TILE + c] = from_half(both[i * 2 * TILE + c]);
            u[i * TILE + c] = from_half(both[i * 2 * TILE + TILE + c]);
        }
    if (gelu)
        for (int j = 0; j < ALL; j++) u[j] = sigmoid(inner(g[j])) * (g[j] * u[j]);
    else
        for (int j = 0; j < ALL; j++) u[j] = sigmoid(g[j]) * (g[j] * u[j]);
    for (int j = 0; j < ALL; j++) out[j] = to_half(u[j]);
}

/* y [n, out] = x weight^T + bias; with `pair` (the width of y then) act(gate) up instead, laid out as a left factor.
   While a panel is at work, the next one is fetched. */
static void multiply(const uint16_t *x, const uint16_t *weight, const uint16_t *bias, uint16_t *y, long n, long in,
                     long out, long pair, int gelu) {
    long deep = in / DEEP, panel = 2 * deep * AREA, blocks = (n + 31) / 32;
    long share = (2 * 2 * AREA / blocks + 63) / 64 * 64; /* bytes of the next panel fetched beside each product */
    float sums[4][TILE * TILE] __attribute__((aligned(64)));
#pragma omp for schedule(static)
    for (long p = 0; p < out / 32; p++)
        for (long m = 0; m < blocks; m++) {
            const uint16_t *left = x + 2 * m * deep * AREA, *below = left + deep * AREA, *right = weight + p * panel;
            const char *next = (const char *)(right + panel) + m * deep * share;
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (long k = 0; k < deep; k++, right += 2 * AREA) {
                for (long l = 0; l < share; l += 64) _mm_prefetch(next + k * share + l, _MM_HINT_T1);
                _tile_loadd(6, right, 64);
                _tile_loadd(4, left + k * AREA, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_loadd(7, right + AREA, 64);
                _tile_dpbf16ps(1, 4, 7);
                _tile_loadd(5, below + k * AREA, 64);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, sums[0], 64);
            _tile_stored(1, sums[1], 64);
            _tile_stored(2, sums[2], 64);
            _tile_stored(3, sums[3], 64);
            long rows = n - 32 * m < 32 ? n - 32 * m : 32, first = pair ? TILE * p : 32 * p;
            const uint16_t *one = bias ? bias + first : NULL, *two = bias ? one + (pair ? pair : TILE) : NULL;
            uint16_t both[4 * TILE * TILE], up[2 * TILE * TILE];
            for (long i = 0; i < 2 * TILE; i++) {
                const float *at = sums[i / TILE * 2] + i % TILE * TILE;
                __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh(sum_of(at + TILE * TILE, two), sum_of(at, one));
                if (pair)
                    _mm512_storeu_si512(both + i * 2 * TILE, pairs);
                else if (i < rows)
                    _mm512_storeu_si512(y + (32 * m + i) * out + first, pairs);
            }
            if (!pair) continue;
            gate(both, gelu, up);
            for (long i = 0; i < rows; i++)
                memcpy(place(y, 32 * m + i, first / DEEP, pair / DEEP) + first % DEEP, up + i * TILE, 2 * TILE);
        }
}

/* x += add, and its norm laid out as a left factor; see add_norm in kernels.c. */
static void norm(float *x, const uint16_t *add, const float *weight, float offset, float eps, uint16_t *out, long n,
                 long w) {
#pragma omp for schedule(static)
    for (long i = 0; i < n; i++) {
        float *row = x + i * w, squares = 0;
        if (add)
            for (long j = 0; j < w; j++) row[j] += from_half(add[i * w + j]);
#pragma omp simd reduction(+ : squares)
        for (long j = 0; j < w; j++) squares += row[j] * row[j];
        float s = 1.0f / sqrtf(squares / w + eps);
        for (long k = 0; k < w / DEEP; k++) {
            uint16_t *to = place(out, i, k, w / DEEP);
            for (long j = k * DEEP; j < (k + 1) * DEEP; j++) to[j - k * DEEP] = to_half(row[j] * s * (offset + weight[j]));
        }
    }
}

static void lay_rows(const uint16_t *x, uint16_t *to, long n, long w) {
#pragma omp for schedule(static)
    for (long i = 0; i < n; i++)
        for (long k = 0; k < w / DEEP; k++) memcpy(place(to, i, k, w / DEEP), x + i * w + k * DEEP, 2 * DEEP);
}

enum { FIRST, SECOND, QKV, QKV_BIAS, OUT, OUT_BIAS, GATE_UP, GATE_UP_BIAS, DOWN, DOWN_BIAS, KEYS_AT, VALUES_AT, WINDOW, FIELDS };

/* x [n, w] float32 through `count` layers, in place. `layers` [count, FIELDS]: addresses of float32 norm weights, of
   weights as laid out above and biases (bfloat16, 0 for none), of keys and values, and the window. The rest as in
   decode_attention. `room`: (rows of whole blocks of 32) x (2 w + 2 heads size + (heads + 2 kv_heads) size + wide)
   bfloat16. */
void decode_layers(const int64_t *layers, long count, float *x, const float *cosine, const float *sine,
                   const int32_t *table, long width, const int32_t *prompt, const int32_t *own, const int32_t *span,
                   long spans, long heads, long kv_heads, long size, float scale, long w, long wide, float offset,
                   float eps, int gelu, uint16_t *room, long n) {
    long rows = (n + 31) / 32 * 32, across = heads * size, all = across + 2 * kv_heads * size;
    uint16_t *normed = room, *add = normed + rows * w, *attended = add + rows * w, *laid = attended + rows * across;
    uint16_t *qkv = laid + rows * across, *gated = qkv + rows * all;
#pragma omp parallel
    {
        set_tiles();
        for (long l = 0; l < count; l++) {
            const int64_t *at = layers + l * FIELDS;
#define AT(field) ((const void *)(uintptr_t)at[field])
            norm(x, l ? add : NULL, AT(FIRST), offset, eps, normed, n, w);
            multiply(normed, AT(QKV), AT(QKV_BIAS), qkv, n, w, all, 0, 0);
            attend(qkv, cosine, sine, (void *)AT(KEYS_AT), (void *)AT(VALUES_AT), table, width, prompt, own, span, spans,
                   heads, kv_heads, size, scale, at[WINDOW], attended, 1);
            lay_rows(attended, laid, n, across);
            multiply(laid, AT(OUT), AT(OUT_BIAS), add, n, across, w, 0, 0);
            norm(x, add, AT(SECOND), offset, eps, normed, n, w);
            multiply(normed, AT(GATE_UP), AT(GATE_UP_BIAS), gated, n, w, 2 * wide, wide, gelu);
            multiply(gated, AT(DOWN), AT(DOWN_BIAS), add, n, wide, w, 0, 0);
#undef AT
        }
#pragma omp for schedule(static)
        for (long i = 0; i < n * w; i++) x[i] += from_half(add[i]);
        _tile_release();
    }
}

#else
int matrix_unit(void) { return 0; }

void lay_out(const uint16_t *weight, uint16_t *to, long out, long in, long pair) {
    (void)weight, (void)to, (void)out, (void)in, (void)pair;
}

void decode_layers(const int64_t *layers, long count, float *x, const float *cosine, const float *sine,
                   const int32_t *table, long width, const int32_t *prompt, const int32_t *own, const int32_t *span,
                   long spans, long heads, long kv_heads, long size, float scale, long w, long wide, float offset,
                   float eps, int gelu, uint16_t *room, long n) {
    (void)layers, (void)count, (void)x, (void)cosine, (void)sine, (void)table, (void)width, (void)prompt, (void)own;
    (void)span, (void)spans, (void)heads, (void)kv_heads, (void)size, (void)scale, (void)w, (void)wide, (void)offset;
    (void)eps, (void)gelu, (void)room, (void)n;
}
#endif
