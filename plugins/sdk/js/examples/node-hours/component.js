// What becomes the component; `meter.js` knows nothing of it, so that it can be tested in Node.
import log from "tollkeeper:meter/log@0.1.0";

import definition from "./meter.js";
import { component } from "./sdk/meter.js";

export const { meter, describe } = component(definition, log.write);
