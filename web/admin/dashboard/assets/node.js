import history from './history.js';
import { changes } from './nodes.js';
import { plots } from './plot.js';

export default function node() {
  plots();
  changes();
  history();
}
