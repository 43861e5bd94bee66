// SPDX-License-Identifier: BSL-1.0
// lwIP's rows of TCP. After lwip_init().
#pragma once
void lwip_tcp_rows();
