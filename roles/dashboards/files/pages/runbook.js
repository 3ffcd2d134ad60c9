// A runbook's page: its theme, and links that keep what is shown.

import { read, show } from "./state.js";

read();
show();
