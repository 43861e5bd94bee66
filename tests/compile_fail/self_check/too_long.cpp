// SPDX-License-Identifier: BSL-1.0
// Refused with the expected words, but followed by a page of candidates: nobody would read it.
// EXPECT: no matching function
void f(int, char), f(int, short), f(int, int), f(int, long), f(int, float), f(int, double), f(int, char*), f(int, int*);
void f(char, char), f(char, short), f(char, int), f(char, long), f(char, float), f(char, double), f(char, char*);
void f(long, char), f(long, short), f(long, int), f(long, long), f(long, float), f(long, double), f(long, char*);
int main() { f(); }
