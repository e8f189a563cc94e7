# Fails unless the C program in README.md is examples/embed.c, word for word.
# cmake -D README=... -D EXAMPLE=... -P readme_example.cmake
file(READ ${README} readme)
file(READ ${EXAMPLE} example)
string(FIND "${readme}" "```c\n${example}```" at)
if(at EQUAL -1)
  message(FATAL_ERROR "README.md does not show examples/embed.c as it is")
endif()
