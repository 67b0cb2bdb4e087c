# SPDX-License-Identifier: Apache-2.0
# The CRC that POSIX cksum makes of what is read, for devices that have no cksum. Works on halves of bytes,
# because awk has no operator for bits. Every line counts with one newline.
function xor32(x, y,    r, p, i) {
    r = 0
    p = 1
    for (i = 0; i < 8; i++) {
        r += X[(x % 16) * 16 + (y % 16)] * p
        x = int(x / 16)
        y = int(y / 16)
        p *= 16
    }
    return r
}
function half(h) {
    crc = xor32((crc % 268435456) * 16, T[X[int(crc / 268435456) * 16 + h]])
}
function octet(o) {
    half(int(o / 16))
    half(o % 16)
}
BEGIN {
    for (a = 0; a < 16; a++)
        for (b = 0; b < 16; b++) {
            r = 0
            p = 1
            x = a
            y = b
            for (i = 0; i < 4; i++) {
                if (x % 2 != y % 2)
                    r += p
                x = int(x / 2)
                y = int(y / 2)
                p *= 2
            }
            X[a * 16 + b] = r
        }
    T[1] = 79764919
    T[2] = 159529838
    T[4] = 319059676
    T[8] = 638119352
    T[0] = 0
    for (a = 1; a < 16; a++)
        for (b = 1; b < 16; b *= 2)
            if (!(a in T) && int(a / b) % 2)
                T[a] = xor32(T[b], T[a - b])
    for (a = 1; a < 256; a++)
        ORD[sprintf("%c", a)] = a
    crc = 0
    size = 0
}
{
    n = length($0)
    for (i = 1; i <= n; i++)
        octet(ORD[substr($0, i, 1)])
    octet(10)
    size += n + 1
}
END {
    for (n = size; n > 0; n = int(n / 256))
        octet(n % 256)
    printf "%.0f\n", 4294967295 - crc
}
