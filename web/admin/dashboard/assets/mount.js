export { plots as default } from './plot.js';
