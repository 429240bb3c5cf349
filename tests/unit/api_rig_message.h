/* api_rig_message.h: the message server of the rig: it writes down what it is asked, and answers as the script says. Private to the rig. */
#ifndef PETREL_TESTS_API_RIG_MESSAGE_H
#define PETREL_TESTS_API_RIG_MESSAGE_H

#include "unit/api_rig.h"

struct link_server api_rig_message_server(struct api_rig *rig);

#endif
