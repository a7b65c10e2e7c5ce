/* A game in another language: reach the goal at one end of a corridor. Plays GAMES games through `broodmind actors --serve`.
   usage: corridor PORT GAMES; prints a line a game. The protocol is in docs/serve.md. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char out[512], in[1 << 16], *at, *end; /* the request being written; the reply, and where it is read */
static int line;
static void die(const char *why) { fprintf(stderr, "corridor: %s\n", why); exit(1); }

/* What there is to write: maps, texts, numbers and lists of fewer than 16 items. */
static void byte(int value) { *at++ = (unsigned char)value; }
static void text(const char *value) { byte(0xa0 | strlen(value)); at = (unsigned char *)stpcpy((char *)at, value); }
static void real(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits = htonl(bits);
    byte(0xca), memcpy(at, &bits, 4), at += 4;
}
static void begin(int fields, const char *type) { at = out + 4, byte(0x80 | fields), text("type"), text(type); }
static void key(const char *name, int value) { text(name), byte(value); } /* a number from 0 to 127 */
static void seen(float place, float goal) { text("observation"), byte(0x92), real(place), real(goal); }

static void send_request(void) {
    uint32_t size = htonl(at - out - 4);
    memcpy(out, &size, 4);
    if (write(line, out, at - out) != at - out) die("not sent");
}

static void take(unsigned char *to, uint32_t size) {
    for (ssize_t got; size; to += got, size -= got)
        if ((got = read(line, to, size)) <= 0) die("the server is gone");
}

/* Read one value, and leave it as a number where it is one; texts and what is in lists and maps are skipped. */
static double value(void) {
    if (at >= end) die("reply not whole");
    unsigned tag = *at++, size = 0, items = 0;
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return (int)tag - 256;
    if (tag < 0xa0) items = (tag & 15) << (tag < 0x90);
    else if (tag < 0xc0) size = tag & 31;
    else if (tag == 0xd9) size = *at++;
    else if (tag >= 0xca && tag <= 0xd3) { /* the floats, the unsigned and the signed integers, big-endian */
        uint64_t bits = 0;
        double real;
        for (int n = tag == 0xca ? 4 : tag == 0xcb ? 8 : 1 << (tag & 3); n--;) bits = bits << 8 | *at++;
        return tag == 0xcb ? memcpy(&real, &bits, 8), real : (double)bits;
    } else if (tag > 0xc3) die("reply of an unknown kind");
    else return tag == 0xc3;
    for (at += size; items--;) value();
    return 0;
}

/* The number in a field of the next reply, whose type must be as expected. */
static double reply(const char *type, const char *field) {
    uint32_t size;
    double found = 0;
    take((unsigned char *)&size, 4);
    if ((size = ntohl(size)) > sizeof in) die("reply too large");
    take(in, size), at = in, end = in + size;
    for (int fields = *at++ & 15; fields--;) {
        unsigned char *name = at, *here;
        unsigned length = *name & 31;
        value(), here = at;
        double number = value();
        if (length == 4 && !memcmp(name + 1, "type", 4) && ((*here & 31u) != strlen(type) || memcmp(here + 1, type, *here & 31)))
            fwrite(in, 1, size, stderr), die(": an unexpected reply");
        if (length == strlen(field) && !memcmp(name + 1, field, length)) found = number;
    }
    return found;
}

int main(int count, char **words) {
    if (count != 3) die("usage: corridor PORT GAMES");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(0x7f000001)};
    if ((line = socket(AF_INET, SOCK_STREAM, 0)) < 0 || connect(line, (void *)&to, sizeof to)) die("nobody serves there");
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* else an act after a reward waits 40 ms */
    begin(4, "hello"), key("protocol", 1), key("wait_s", 120), text("observation_shape"), byte(0x91), byte(2), send_request();
    if (reply("hello", "version") < 1) die("no policy within a minute");
    for (int game = 0; game < atoi(words[2]); game++) {
        float place = 0, goal = game % 2 ? 1 : -1;
        begin(2, "episode"), key("id", game % 100), send_request(), reply("episode", "id");
        for (int step = 0; step < 30 && place * place < 1; step++) {
            begin(3, "act"), key("id", game % 100), seen(place, goal), send_request();
            place += 0.25f * ((int)reply("act", "action") - 1); /* 0: left, 1: stay, 2: right */
            begin(3, "reward"), key("id", game % 100), text("value"), real(-0.02f), send_request();
        }
        const char *outcome = place == goal ? "win" : place == -goal ? "loss" : "truncated";
        begin(5, "end"), key("id", game % 100), text("outcome"), text(outcome), seen(place, goal);
        text("reward"), real(place * goal), send_request(); /* truncated: the place times the goal, a hint */
        printf("%d %s in %g steps\n", game, outcome, reply("end", "steps"));
    }
    return 0;
}
