#include <stdio.h>

#include "greeting.h"

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		printf("%s, %s!\n", GREETING, argv[i]);
	return 0;
}
