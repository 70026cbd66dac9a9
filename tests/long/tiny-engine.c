// An inference server that needs nothing but libc: one connection at a time, the same answer to every chat.
// Usage: tiny-engine HOST PORT
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const HEALTH = "{\"status\":\"ok\"}";
static const char *const CHAT =
    "{\"object\":\"chat.completion\",\"model\":\"tiny-engine\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\","
    "\"message\":{\"role\":\"assistant\",\"content\":\"a hive is a house of bees\"}}]}";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void answer(int connection) {
    char request[65536];
    ssize_t length = read(connection, request, sizeof request - 1);
    if (length <= 0) return;
    request[length] = '\0';
    const char *body = strncmp(request, "GET /health", 11) == 0 ? HEALTH : CHAT;
    dprintf(connection, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s",
            strlen(body), body);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: tiny-engine HOST PORT\n");
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("HOST");
    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
    if (listen(listener, 16) != 0) fail("listen");
    printf("tiny-engine listens on %s:%s\n", argv[1], argv[2]);
    fflush(stdout);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        answer(connection);
        close(connection);
    }
}
