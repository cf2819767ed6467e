/* SPDX-License-Identifier: MIT */
/* The natural logarithm, the same on every processor: of m in [sqrt(1/2), sqrt(2)) and an exponent. */
static float NAME_log(float x)
{
  uint32_t bits;
  int exponent;
  float s, z;
  memcpy(&bits, &x, sizeof bits);
  exponent = (int)(bits >> 23) - 127;
  bits = (bits & 0x7fffffu) | 0x3f800000u;
  memcpy(&x, &bits, sizeof bits);
  if (x > 1.41421356f) {
    x *= 0.5f;
    ++exponent;
  }
  s = (x - 1.0f) / (x + 1.0f);
  z = s * s;
  s = 2.0f * s * (1.0f + z * (0.333333333f + z * (0.2f + z * (0.142857143f + z * 0.111111111f))));
  return s + (float)exponent * 0.693147181f;
}

/* The discrete Fourier transform of complex numbers, a power of two of them, in place. */
static void NAME_fourier(float *z, int count)
{
  int i, j, half;
  for (i = 1, j = 0; i < count; ++i) {
    int bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i < j) {
      const float re = z[2 * i], im = z[2 * i + 1];
      z[2 * i] = z[2 * j];
      z[2 * i + 1] = z[2 * j + 1];
      z[2 * j] = re;
      z[2 * j + 1] = im;
    }
  }
  for (half = 1; half < count; half *= 2) {
    for (j = 0; j < half; ++j) {
      const float c = NAME_cosine[j * (count / half)], s = NAME_sine[j * (count / half)];
      for (i = j; i < count; i += 2 * half) {
        float *a = z + 2 * i, *b = a + 2 * half;
        const float re = b[0] * c + b[1] * s, im = b[1] * c - b[0] * s;
        b[0] = a[0] - re;
        b[1] = a[1] - im;
        a[0] += re;
        a[1] += im;
      }
    }
  }
}

/* |X(k)|^2 of real numbers, k = 0 .. count / 2, that of k in x[2 k] and the last in x[1]. */
static void NAME_powers(float *x, int count)
{
  const int half = count / 2;
  float sum, difference;
  int k;
  NAME_fourier(x, half);
  sum = x[0] + x[1];
  difference = x[0] - x[1];
  x[0] = sum * sum;
  x[1] = difference * difference;
  for (k = 1; k <= half / 2; ++k) {
    float *a = x + 2 * k, *b = x + 2 * (half - k);
    const float c = NAME_cosine[k], s = NAME_sine[k];
    const float even_re = 0.5f * (a[0] + b[0]), even_im = 0.5f * (a[1] - b[1]);
    const float odd_re = 0.5f * (a[1] + b[1]), odd_im = 0.5f * (b[0] - a[0]);
    const float re = odd_re * c + odd_im * s, im = odd_im * c - odd_re * s;
    a[0] = (even_re + re) * (even_re + re) + (even_im + im) * (even_im + im);
    b[0] = (even_re - re) * (even_re - re) + (even_im - im) * (even_im - im);
  }
}

/* The logarithmic mel spectrogram, out[filter][frame], of samples in one of the two forms. */
static void NAME_spectrogram(const float *audio, const int16_t *samples, float *work, float *out)
{
  int t, n, j, k, x;
  for (t = 0; t < NAME_FRAMES; ++t) {
    const int begin = t * NAME_HOP;
    const float *weight = NAME_filter_weights;
    for (n = 0; n < NAME_WINDOW; ++n)
      work[n] = NAME_hann[n] * (audio ? audio[begin + n] : (float)samples[begin + n] / 32768.0f);
    for (; n < NAME_FOURIER; ++n) work[n] = 0.0f;
    NAME_powers(work, NAME_FOURIER);
    for (j = 0; j < NAME_FILTERS; ++j) {
      const int first = NAME_filter_first[j], end = first + NAME_filter_bins[j];
      float sum = 0.0f;
      for (k = first; k < end; ++k) sum += *weight++ * (k < NAME_FOURIER / 2 ? work[2 * k] : work[1]);
      out[(size_t)j * NAME_FRAMES + t] = NAME_log(sum > NAME_floor ? sum : NAME_floor);
    }
  }
  if (NAME_span > 0.0f) {
    float low = out[0];
    for (x = 1; x < NAME_FILTERS * NAME_FRAMES; ++x) low = out[x] > low ? out[x] : low;
    low -= NAME_span;
    for (x = 0; x < NAME_FILTERS * NAME_FRAMES; ++x) out[x] = out[x] < low ? low : out[x];
  }
  if (NAME_STANDARDIZE) {
    double mean = 0.0, square = 0.0;
    float centre, scale;
    for (x = 0; x < NAME_FILTERS * NAME_FRAMES; ++x) mean += out[x];
    mean /= NAME_FILTERS * NAME_FRAMES;
    for (x = 0; x < NAME_FILTERS * NAME_FRAMES; ++x) square += (out[x] - mean) * (out[x] - mean);
    centre = (float)mean;
    scale = (float)sqrt(square / (NAME_FILTERS * NAME_FRAMES));
    if (!(scale > 0.0f)) scale = 1.0f;
    for (x = 0; x < NAME_FILTERS * NAME_FRAMES; ++x) out[x] = (out[x] - centre) / scale;
  }
}
