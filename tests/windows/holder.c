/* Holds files open without sharing until its input ends: what a busy system does. */
#include <stdio.h>
#include <windows.h>

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        HANDLE file = CreateFileA(names[i], GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
        if (file == INVALID_HANDLE_VALUE) {
            printf("%s: error %lu\n", names[i], GetLastError());
            return 1;
        }
    }
    puts("held");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
