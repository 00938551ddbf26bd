/* The sum of products, in sixteen parts. */
static inline float dot_float(const float *a, const float *b, int64_t n)
{
    float parts[16] = {0.0f};
    const int64_t whole = n - n % 16;
    for (int64_t i = 0; i < whole; i += 16) {
        for (int part = 0; part < 16; part++) {
            parts[part] += a[i + part] * b[i + part];
        }
    }
    for (int step = 8; step > 0; step /= 2) {
        for (int part = 0; part < step; part++) {
            parts[part] += parts[part + step];
        }
    }
    for (int64_t i = whole; i < n; i++) {
        parts[0] += a[i] * b[i];
    }
    return parts[0];
}
