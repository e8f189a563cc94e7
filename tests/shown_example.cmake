# Fails unless a page shows an example's program, word for word.
# cmake -D PAGE=... -D EXAMPLE=... -P shown_example.cmake
file(READ ${PAGE} page)
file(READ ${EXAMPLE} example)
get_filename_component(language ${EXAMPLE} LAST_EXT)
string(SUBSTRING ${language} 1 -1 language)
string(FIND "${page}" "```${language}\n${example}```" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${PAGE} does not show ${EXAMPLE} as it is")
endif()
