/* The floor: reads interchanges, splits them into segments, elements and components with release characters undone,
   and writes each as one line: LITERAL bytes of text that stands in every Bundle, with the values, escaped for JSON and
   in UTF-8, between them. No conversion needs less than this.

   floor INPUT OUTPUT LITERAL     prints the processor time in seconds */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *out, *literal;
static size_t used, piece, left;

static void value(const unsigned char *from, const unsigned char *to)
{
    size_t taken = left < piece ? left : piece;
    memcpy(out + used, literal, taken);
    used += taken;
    left -= taken;
    out[used++] = '"';
    for (; from < to; from++) {
        unsigned char c = *from;
        if (c == '?' && from + 1 < to) c = *++from;
        if (c == '"' || c == '\\') { out[used++] = '\\'; out[used++] = c; }
        else if (c < 0x20) used += (size_t)sprintf(out + used, "\\u%04x", c);
        else if (c < 0x80) out[used++] = c;
        else { out[used++] = (char)(0xC0 | c >> 6); out[used++] = (char)(0x80 | (c & 0x3F)); }
    }
    out[used++] = '"';
}

int main(int count, char **words)
{
    if (count != 4) return 2;
    clock_t began = clock();
    FILE *file = fopen(words[1], "rb"), *result = fopen(words[2], "wb");
    if (!file || !result) return 1;
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file), whole = (size_t)atol(words[3]);
    rewind(file);
    unsigned char *data = malloc(size + 1), *end = data + size, *at = data, *from = data;
    if (fread(data, 1, size, file) != size) return 1;
    literal = malloc(whole + 1);
    memset(literal, 'x', whole);
    out = malloc(whole + 16 * 1024 * 1024);
    piece = whole / 69 + 1;
    left = whole;
    if (size > 9 && memcmp(data, "UNA", 3) == 0) from = at = data + 9;
    for (; at < end; at++) {
        if (*at == '?') { at++; continue; }
        if (*at != ':' && *at != '+' && *at != '\'') continue;
        value(from, at);
        from = at + 1;
        /* An interchange ends with the segment UNZ; the next one begins with UNA. */
        if (*at == '\'' && (from == end || memcmp(from, "UNA", 3) == 0)) {
            memcpy(out + used, literal, left);
            used += left;
            out[used++] = '\n';
            fwrite(out, 1, used, result);
            used = 0;
            left = whole;
            if (from + 9 <= end) { at += 9; from = at + 1; }
        }
    }
    if (fclose(result)) return 1;
    printf("%.6f\n", (double)(clock() - began) / CLOCKS_PER_SEC);
    return 0;
}
