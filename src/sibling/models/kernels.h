/* What kernels.c and decode.c share: bfloat16, rows of either type, exp. */

#ifndef SIBLING_KERNELS_H
#define SIBLING_KERNELS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
enum { PAGE = 32, KEYS = 64, BLOCK = 128, ROWS = 64, QUERIES = 4, LIKELY = 512, SMALL = 1 << 15 };

static inline float from_half(uint16_t h) {
    union { uint32_t u; float f; } bits = {(uint32_t)h << 16};
    return bits.f;
}

static inline uint16_t to_half(float value) { /* to nearest, ties to even; NaN stays NaN */
    union { float f; uint32_t u; } bits = {value};
    uint32_t rounded = (bits.u + 0x7fff + ((bits.u >> 16) & 1)) >> 16;
    return (uint16_t)((bits.u & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}

static inline void read_row(float *to, const void *from, long at, long n, int half) {
    if (half) {
        const uint16_t *source = (const uint16_t *)from + at;
        for (long i = 0; i < n; i++) to[i] = from_half(source[i]);
    } else
        memcpy(to, (const float *)from + at, n * sizeof(float));
}

static inline void write_row(void *to, const float *from, long at, long n, int half) {
    if (half) {
        uint16_t *target = (uint16_t *)to + at;
        for (long i = 0; i < n; i++) target[i] = to_half(from[i]);
    } else
        memcpy((float *)to + at, from, n * sizeof(float));
}

static inline void round_row(float *row, long n, int half) {
    if (half)
        for (long i = 0; i < n; i++) row[i] = from_half(to_half(row[i]));
}

/* exp with a relative error below 2e-7; 0 below -87, infinite above 88, NaN for NaN. */
static inline float expo(float x) {
    float held = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float n = (held * 1.44269504f + 12582912.0f) - 12582912.0f; /* to the nearest integer */
    float r = held - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union { int32_t i; float f; } power = {((int32_t)n + 127) << 23};
    return x < -87.0f ? 0.0f : x > 88.0f ? INFINITY : p * power.f;
}

static inline float sigmoid(float g) { return 1.0f / (1.0f + expo(-g)); }

static inline float inner(float g) { return 1.5957691216f * (g + 0.044715f * g * g * g); } /* GELU: g sigmoid(inner) */

/* Attention of one new token a row, by the threads of the parallel region it is called in; see kernels.c. */
void attend(const void *qkv, const float *cosine, const float *sine, void *keys, void *values, const int32_t *table,
            long width, const int32_t *prompt, const int32_t *own, const int32_t *span, long spans, long heads,
            long kv_heads, long size, float scale, long window, void *out, int half);

#endif
